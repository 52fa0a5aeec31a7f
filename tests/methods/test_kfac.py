"""The preconditioned step of Eq. 5: its parts, its limit cases, and the whole of it."""

from itertools import product

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
)
from layerwise.data.moments import Moments
from layerwise.networks.factors import SeedFactor
from layerwise.networks.linear import LinearView, Plain
from textbook import Textbook, forwards, gradients

plain = forwards(torch.eye(6, dtype=torch.float64))["plain"]


def kfac_method(of, weights, lr, damping=(0.0,), precondition_outputs=True, lr_head=None):
    settings = method_settings(
        "kfac.KFAC",
        lr,
        damping,
        precondition_outputs=precondition_outputs,
        lr_head=lr_head,
    )
    return Stepper(settings, of, weights)


def test_inputs_are_preconditioned_by_the_damped_second_moment():
    """The input factor solves grad (Q_G + damping I)^-1, damping values first, step sizes second."""
    of = population()
    moments = Moments.of_batch(*random_batch(of, 20, seed=0))
    xx = moments.xx
    dampings, lrs = torch.tensor([0.0, 0.3], dtype=torch.float64), 3
    gradient = random(2, len(dampings) * lrs, 3, 6, seed=1)
    factor = LinearView(moments, random_weights(of, 6)).inputs(0)
    actual = factor.solve(gradient, dampings[:, None, None])
    for s, v in product(range(2), range(6)):
        Q = xx[s] + dampings[v // lrs] * torch.eye(6, dtype=xx.dtype)
        assert_close(actual[s, v], gradient[s, v] @ torch.linalg.inv(Q))


def test_outputs_are_preconditioned_by_the_heads_gram_matrix():
    """(F^T F)^-1 grad_G, by a dense inverse and the gradient as it is written."""
    of = population()
    weights, batch = random_weights(of, 2), Moments.of_batch(*random_batch(of, 20, seed=0))
    view, gram = LinearView(batch, weights), weights.head.mT @ weights.head
    assert_close(view.natural(0), torch.linalg.inv(gram) @ view.gradient(0))
    assert torch.equal(view.natural(1), view.gradient(1))  # P_F = I


@pytest.mark.parametrize("precondition_outputs", [True, False])
@pytest.mark.parametrize("lr_head", [None, 0.3])
def test_the_whole_step_is_equation_5(precondition_outputs, lr_head):
    """Four steps equal Eq. 5 on the raw batch with autograd's gradients and dense inverses."""
    of = population()
    lrs, dampings = [0.1, 0.7], [0.0, 0.2]
    options = {"precondition_outputs": precondition_outputs, "lr_head": lr_head}
    start = weights = random_weights(of, 4)
    method = kfac_method(of, weights, lrs, dampings, **options)
    batches = [random_batch(of, 20, seed=10 * t) for t in range(4)]
    for batch in batches:
        weights = method.step(weights, [Moments.of_batch(*batch)])
    for s, (v, (damping, lr)) in product(range(2), enumerate(product(dampings, lrs))):
        textbook = Textbook("kfac.KFAC", plain, lr, damping, **options)
        G, F = start.features[s, v], start.head[s, v]
        for x, y in batches:
            G, F = textbook.step(G, F, [(x[s], y[s])])
        assert_close(weights.features[s, v], G)
        assert_close(weights.head[s, v], F)


def white_after_step(F, x, y, lr):
    """Features whose hidden layer is exactly white (Q_F = I) after a gradient step.

    With G - lr F^T (F G xx - yx) = G+ the features follow from G+ by a linear equation.
    """
    n, k, d = len(x), F.shape[1], x.shape[1]
    xx, yx = x.T @ x / n, y.T @ x / n
    target = random(k, d, seed=5)
    L = torch.linalg.cholesky(target @ xx @ target.T)
    target = torch.linalg.solve(L, target)
    system = torch.eye(k * d, dtype=x.dtype) - lr * torch.kron((F.T @ F).contiguous(), xx)
    right = (target - lr * F.T @ yx).flatten()
    return torch.linalg.solve(system, right).view(k, d)


class WhiteView(LinearView):
    """The linear network, said to have P_G = Q_G = I."""

    def inputs(self, layer):
        identity = torch.eye(6, dtype=torch.float64)[None]
        return super().inputs(layer) if layer else SeedFactor(identity)

    def natural(self, layer):
        return self.gradient(layer)


@pytest.mark.parametrize("limit", ["replaced", "large damping"])
def test_with_identity_preconditioners_it_is_alternating_sgd(limit, monkeypatch):
    """P_G = Q_G = Q_F = I gives the gradient step on G, then on F at the new G, by autograd.

    Q_G = I is reached by a network that says so (1e-12), or by a damping of 1e9 with the step size
    multiplied by it (1e-7); Q_F = I by the choice of the weights.
    """
    of, lr = population(seeds=(0,)), 0.2
    x, y = random_batch(of, 20, seed=0)
    F = random(4, 3, seed=2)
    G = white_after_step(F, x[0], y[0], lr)
    weights = Weights(G[None, None], F[None, None])
    if limit == "replaced":
        monkeypatch.setattr(Plain, "view", lambda self, weights, batch: WhiteView(batch, weights))
        method, tolerance = kfac_method(of, weights, [lr], lr_head=lr), 1e-12
    else:
        unit = float((x[0].mT @ x[0] / len(x[0])).diagonal().mean())
        method = kfac_method(of, weights, [lr * 1e9 * unit], [1e9], False, lr_head=lr)
        tolerance = 1e-7
    actual = method.step(weights, [Moments.of_batch(x, y)])
    G_new = G - lr * gradients(plain, G, F, x[0], y[0])[0]
    F_new = F - lr * gradients(plain, G_new, F, x[0], y[0])[1]
    z = x[0] @ G_new.T
    assert_close(z.T @ z / len(z), torch.eye(3, dtype=z.dtype))
    assert_close(actual.features[0, 0], G_new, tolerance)
    assert_close(actual.head[0, 0], F_new, tolerance)


def test_with_head_step_one_the_head_is_least_squares_on_the_batch():
    """eta_F = 1 gives torch.linalg.lstsq's head on the raw batch, at the new features."""
    of = population()
    x, y = random_batch(of, 20, seed=0)
    weights = random_weights(of, 2)
    method = kfac_method(of, weights, [0.1, 0.5], lr_head=1.0)
    features, head = method.step(weights, [Moments.of_batch(x, y)])
    for s, v in product(range(2), range(2)):
        fitted = torch.linalg.lstsq(x[s] @ features[s, v].T, y[s]).solution.T
        assert_close(head[s, v], fitted)


def test_a_singular_second_moment_gives_nan_in_its_seed_alone():
    """A factor that cannot be inverted marks its own runs, and no others change a bit."""
    xx = torch.eye(6, dtype=torch.float64).repeat(2, 1, 1)
    gradient = random(2, 2, 3, 6, seed=0)
    damping = torch.zeros(1, 1, 1, dtype=torch.float64)
    before = SeedFactor(xx).solve(gradient, damping)
    xx[0, 2, 2] = 0.0
    after = SeedFactor(xx).solve(gradient, damping)
    assert after[0].isnan().all()
    assert torch.equal(after[1], before[1])


def test_a_head_without_full_rank_gives_nan_in_its_run_alone():
    """P_G = F^T F is singular in one run; the runs beside it do not change a bit."""
    of = population(seeds=(0,))
    weights, batch = random_weights(of, 2), Moments.of_batch(*random_batch(of, 20, seed=0))
    before = LinearView(batch, weights).natural(0)
    weights.head[0, 0, :, 1] = 0.0
    after = LinearView(batch, weights).natural(0)
    assert after[0, 0].isnan().all()
    assert torch.equal(after[0, 1], before[0, 1])
