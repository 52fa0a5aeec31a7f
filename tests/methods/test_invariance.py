"""Which changes of basis a method's path follows, and which it does not."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import (
    Stepper,
    Weights,
    method_settings,
    population,
    random,
    random_batch,
    random_weights,
)
from layerwise.data.moments import Moments

ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
METHODS = {
    "kfac": method_settings("kfac.KFAC", [0.3], [0.0], precondition_outputs=True, lr_head=None),
    "kfac, inputs only": method_settings(
        "kfac.KFAC", [0.3], [0.0], precondition_outputs=False, lr_head=None
    ),
    "kfac, damped": method_settings(
        "kfac.KFAC", [0.3], [0.5], precondition_outputs=True, lr_head=None
    ),
    "dfw": method_settings("dfw.DFW", [0.3], [0.0]),
    "sgd": method_settings("sgd.SGD", [0.1]),
    "adam": method_settings("adam.Adam", [0.05], **ADAM),
    "gauss-newton": method_settings("gauss_newton.GaussNewton", [0.3], [0.1]),
}
STEPS = 5


def orthogonal(d, seed):
    return torch.linalg.qr(random(d, d, seed=seed)).Q


def invertible(d, seed, condition):
    """A matrix of the given condition number."""
    scales = torch.logspace(0, float(torch.tensor(condition).log10()), d, dtype=torch.float64)
    return orthogonal(d, seed) * scales @ orthogonal(d, seed + 1)


def path(name, weights, batches):
    method = Stepper(METHODS[name], population(seeds=(0,)), weights)
    for x, y in batches:
        moments = Moments.of_batch(x, y)
        weights = method.step(weights, [moments] * method.batches)
    return weights


def broken_by(name, seed, inputs=None, hidden=None):
    """How far the path in a changed basis is from the changed path, relative to the weights.

    ``inputs`` A maps x to A x, hence G to G A^-1; ``hidden`` B maps G to B G, F to F B^-1.
    """
    of = population(seeds=(seed,))
    batches = [random_batch(of, 30, seed=100 * seed + 2 * t) for t in range(STEPS)]
    A = torch.eye(6, dtype=torch.float64) if inputs is None else inputs
    B = torch.eye(3, dtype=torch.float64) if hidden is None else hidden

    def change(weights):
        features = B @ weights.features @ torch.linalg.inv(A)
        return Weights(features, weights.head @ torch.linalg.inv(B))

    start = random_weights(of, 1, seed)
    expected = change(path(name, start, batches))
    actual = path(name, change(start), [(x @ A.T, y) for x, y in batches])
    return max(float((a - b).norm() / b.norm()) for a, b in zip(actual, expected, strict=True))


seeds, conditions = st.integers(0, 1000), st.floats(1, 100)


@pytest.mark.parametrize("name", ["kfac", "kfac, inputs only"])
@given(seed=seeds, condition=conditions)
def test_undamped_kfac_follows_every_change_of_the_input_basis(name, seed, condition):
    """x -> A x for any invertible A takes the path G_t to G_t A^-1 and leaves F_t."""
    assert broken_by(name, seed, inputs=invertible(6, seed, condition)) < 1e-8


@given(seed=seeds, condition=conditions)
def test_undamped_kfac_follows_every_change_of_the_hidden_basis(seed, condition):
    """(G, F) -> (B G, F B^-1) for any invertible B takes the path along."""
    assert broken_by("kfac", seed, hidden=invertible(3, seed, condition)) < 1e-8


@pytest.mark.parametrize("name", ["sgd", "gauss-newton", "kfac, damped", "kfac, inputs only"])
@given(seed=seeds)
def test_sgd_and_damped_methods_follow_rotations(name, seed):
    """Orthogonal changes of the input basis and of the hidden basis take the path along."""
    rotations = {"inputs": orthogonal(6, seed), "hidden": orthogonal(3, seed)}
    assert broken_by(name, seed, **rotations) < 1e-9


@pytest.mark.parametrize(
    ("name", "inputs", "hidden"),
    [
        ("sgd", invertible(6, 0, 3.0), None),
        ("sgd", None, invertible(3, 0, 3.0)),
        ("adam", invertible(6, 0, 3.0), None),
        ("adam", None, invertible(3, 0, 3.0)),
        ("adam", orthogonal(6, 0), None),
        ("adam", None, orthogonal(3, 0)),
        ("kfac, damped", invertible(6, 0, 3.0), None),
        ("kfac, inputs only", None, invertible(3, 0, 3.0)),
        ("gauss-newton", invertible(6, 0, 3.0), None),
    ],
)
def test_the_others_do_not(name, inputs, hidden):
    """A condition number of 3 (for Adam a rotation) moves the weights by over a tenth in 5 steps,
    for each of three seeds."""
    assert all(broken_by(name, seed, inputs, hidden) > 0.1 for seed in range(3))


def test_rescaling_an_input_changes_adams_gradient_step_but_not_its_size():
    """Adam's first step is lr times the gradient's signs, whatever the inputs' scale."""
    of = population(seeds=(0,))
    weights = random_weights(of, 1)
    x, y = random_batch(of, 30, seed=0)
    scaled = x * torch.tensor([100.0, 1, 1, 1, 1, 1], dtype=torch.float64)
    for inputs in (x, scaled):
        method = Stepper(METHODS["adam"], of, weights)
        moved = method.step(weights, [Moments.of_batch(inputs, y)])
        sizes = (moved.features - weights.features).abs()
        torch.testing.assert_close(sizes, torch.full_like(sizes, 0.05), rtol=1e-4, atol=0)
