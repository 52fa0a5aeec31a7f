"""Alternating descent with a least-squares head: what one step leaves behind."""

import pytest
import torch

from helpers import (
    Stepper,
    assert_close,
    method_settings,
    population,
    random_batch,
    random_weights,
)
from layerwise.data.moments import Moments
from textbook import damped, forwards, gradients

plain = forwards(torch.eye(6, dtype=torch.float64))["plain"]
LR = 0.3


def one_step(rule, damping=()):
    of = population(seeds=(0,))
    weights = random_weights(of, 1)
    batches = [random_batch(of, 20, seed=seed) for seed in (0, 50)]
    method = Stepper(method_settings(rule, [LR], damping), of, weights)
    stepped = method.step(weights, [Moments.of_batch(*batch) for batch in batches])
    pairs = [(x[0], y[0]) for x, y in batches]
    return [w[0, 0] for w in weights], [w[0, 0] for w in stepped], pairs


@pytest.mark.parametrize(("rule", "damping"), [("dfw.DFW", [0.2]), ("amgd.AMGD", [])])
def test_features_are_an_orthonormal_basis_of_the_descended_row_space(rule, damping):
    """The row space is that of G - lr grad_G (xx + damping tr(xx)/d I)^-1 for DFW, G - lr grad_G for AMGD;
    projectors are compared, since the basis itself is arbitrary."""
    (G, F), (G_new, _), [(x, y), _] = one_step(rule, damping)
    direction = gradients(plain, G, F, x, y)[0]
    if rule == "dfw.DFW":
        direction = direction @ torch.linalg.inv(damped(x.T @ x / 20, 0.2))
    row_space = G - LR * direction
    assert_close(G_new @ G_new.T, torch.eye(3, dtype=G.dtype))
    assert_close(G_new.T @ G_new, torch.linalg.pinv(row_space) @ row_space)


@pytest.mark.parametrize(("rule", "damping"), [("dfw.DFW", [0.0]), ("amgd.AMGD", [])])
def test_the_head_is_least_squares_on_the_second_batch(rule, damping):
    """torch.linalg.lstsq on the independent batch, and not on the one that moved the features."""
    _, (G_new, F_new), [(x1, y1), (x2, y2)] = one_step(rule, damping)
    assert_close(F_new, torch.linalg.lstsq(x2 @ G_new.T, y2).solution.T)
    first = torch.linalg.lstsq(x1 @ G_new.T, y1).solution.T
    assert (F_new - first).abs().max() > 1e-3
