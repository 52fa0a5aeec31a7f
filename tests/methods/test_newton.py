"""Newton's Hessian against autograd's, where it is singular, and how fast it converges."""

from itertools import pairwise, product

import pytest
import torch

from helpers import (
    Stepper,
    Weights,
    assert_close,
    method_settings,
    population,
    random,
    random_batch,
    random_weights,
    small_settings,
)
from layerwise.data.moments import Moments
from layerwise.networks.linear import LinearView
from layerwise.networks.second_order import newton_step
from layerwise.settings.validation import ConfigError
from textbook import batch_loss, forwards

plain = forwards(torch.eye(6, dtype=torch.float64))["plain"]


def matrix_of(weights, x, y, s=0, v=0):
    """The Hessian of a run's batch loss over (vec G, vec F) by autograd, and the gradient."""
    G, F = weights.features[s, v], weights.head[s, v]

    def loss(w):
        g, f = w.split([G.numel(), F.numel()])
        return batch_loss(plain, g.view_as(G), f.view_as(F), x[s], y[s])

    flat = torch.cat([G.flatten(), F.flatten()])
    return (
        torch.autograd.functional.hessian(loss, flat),
        torch.autograd.functional.jacobian(loss, flat),
    )


def newton(of, weights, lr, damping=0.0):
    return Stepper(method_settings("newton.Newton", [lr], [damping]), of, weights)


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("d_y", [3, 5])
def test_the_step_solves_autograds_hessian_of_the_raw_batch(d_y, damping):
    of = population(d_y=d_y)
    weights = random_weights(of, 2)
    x, y = random_batch(of, 20, seed=0)
    moments = Moments.of_batch(x, y)
    gradients = LinearView(moments, tuple(weights)).gradients
    dampings = torch.full((2, 1, 1), damping, dtype=torch.float64)
    moves = newton_step(*weights, gradients, moments.xx, moments.yx, dampings)
    flat = torch.cat([part.flatten(2) for part in moves], dim=2)
    for s, v in product(range(2), range(2)):
        H, gradient = matrix_of(weights, x, y, s, v)
        assert torch.linalg.eigvalsh(H).min() < -0.01  # indefinite
        assert_close(H @ flat[s, v] + damping * flat[s, v], -gradient, 1e-11)
        assert_close(
            flat[s, v],
            -torch.linalg.solve(H + damping * torch.eye(len(H)).double(), gradient),
            1e-9,
        )


def test_along_the_rescalings_the_hessian_gives_the_gradient():
    """H (A G, -F A) = (-A^T grad_G, grad_F A^T): singular there at stationary points alone."""
    of = population()
    weights = random_weights(of, 1)
    H, gradient = matrix_of(weights, *random_batch(of, 20, seed=0))
    G, F, A = weights.features[0, 0], weights.head[0, 0], random(3, 3, seed=5)
    by_G, by_F = gradient.split([G.numel(), F.numel()])
    along = torch.cat([(A @ G).flatten(), -(F @ A).flatten()])
    expected = torch.cat([-(A.T @ by_G.view_as(G)).flatten(), (by_F.view_as(F) @ A.T).flatten()])
    assert_close(H @ along, expected)


@pytest.mark.parametrize(
    ("samples", "damping", "lost"), [(5, 0.0, True), (5, 0.1, False), (9, 0.0, False)]
)
def test_fewer_samples_than_dimensions_need_damping(samples, damping, lost):
    """No step is decided by what rounding makes of a zero eigenvalue."""
    of = population()
    weights = random_weights(of, 1)
    batch = [Moments.of_batch(*random_batch(of, samples, seed=0))]
    stepped = newton(of, weights, 0.1, damping).step(weights, batch)
    assert all(part.isnan().all() if lost else part.isfinite().all() for part in stepped)


def test_it_converges_quadratically():
    """Without noise, next to a solution: each step squares the error, up to a constant. (Later ones
    meet a Hessian that is as singular as the gradient is small, and rounding.)"""
    of = population(seeds=(0,), noise=0.0)
    moments = Moments.of_batch(*random_batch(of, 40, seed=0))
    truth = [part[:, None] for part in (of.features, of.head)]
    weights = Weights(*(w + 0.03 * random(*w.shape, seed=2) for w in truth))
    method, errors = newton(of, weights, lr=1.0), []
    for _ in range(4):
        errors.append(float((weights.head @ weights.features - of.map).norm()))
        weights = method.step(weights, [moments])
    rates = [after / before**2 for before, after in pairwise(errors)]
    assert errors[0] > 0.1
    assert max(rates) < 5
    assert errors[-1] < 1e-6


def test_a_singular_hessian_gives_nan_in_its_run_alone():
    """At zero weights the Hessian has no more than 2 k rank(E[y x^T]) nonzero eigenvalues."""
    of = population()
    weights = random_weights(of, 2)
    settings = method_settings("newton.Newton", [0.1, 0.5], [0.0])
    batch = [Moments.of_batch(*random_batch(of, 20, seed=0))]
    before = Stepper(settings, of, weights).step(weights, batch)
    zeros = Weights(*(part.clone() for part in weights))
    for part in zeros:
        part[0, 0] = 0.0
    after = Stepper(settings, of, zeros).step(zeros, batch)
    for old, new in zip(before, after, strict=True):
        assert new[0, 0].isnan().all()
        assert torch.equal(new.flatten(0, 1)[1:], old.flatten(0, 1)[1:])


def test_too_many_weights_are_refused():
    """k (d_x + d_y) is at most 1024."""
    sizes = ["task.rank=8", "task.d_y=28"]
    assert small_settings("newton", *sizes, "task.d_x=100").task.d_x == 100
    with pytest.raises(
        ConfigError, match=r"^task\.rank \* \(task\.d_x \+ task\.d_y\) = 1032 is not"
    ):
        small_settings("newton", *sizes, "task.d_x=101")
