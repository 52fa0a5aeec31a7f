"""The batched rules beside the classes that define them, run by run; and what becomes of broken runs."""

from itertools import product

import pytest
import pytorch_optimizer
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
from layerwise.methods.muon import newton_schulz
from layerwise.methods.shampoo import inverse_root
from textbook import batch_loss, forwards

plain = forwards(torch.eye(6, dtype=torch.float64))["plain"]
LRS = [0.02, 0.1]
MUON = {"momentum": 0.9, "newton_schulz_steps": 4, "bfloat16": True}
RULES = {
    "muon.Muon": (MUON, torch.optim.Muon, {"weight_decay": 0.0, "momentum": 0.9, "ns_steps": 4}),
    "shampoo.Shampoo": ({"epsilon": 1e-3}, pytorch_optimizer.Shampoo, {"matrix_eps": 1e-3}),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("d_y", [2, 4])
def test_every_run_is_the_class_alone(rule, d_y):
    """Twenty steps of 2 seeds and 2 step sizes, with settings that are nobody's defaults."""
    options, make, keywords = RULES[rule]
    of = population(seeds=(3, 7), d_y=d_y, rank=2 if d_y == 2 else 3)
    start = weights = random_weights(of, len(LRS))
    stepper = Stepper(method_settings(rule, LRS, **options), of, start)
    batches = [random_batch(of, 16, seed=10 * t) for t in range(20)]
    for batch in batches:
        weights = stepper.step(weights, [Moments.of_batch(*batch)])
    for s, (v, lr) in product(range(2), enumerate(LRS)):
        layers = [torch.nn.Parameter(part[s, v].clone()) for part in start]
        alone = make(layers, lr=lr, **keywords)
        for x, y in batches:
            alone.zero_grad()
            batch_loss(plain, *layers, x[s], y[s]).backward()
            alone.step()
        for found, expected in zip(weights, layers, strict=True):
            assert_close(found[s, v], expected.detach(), 1e-9)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4)])
def test_newton_schulz_takes_singular_values_near_one_and_keeps_the_vectors(shape):
    matrix = 1e-3 * random(2, 3, *shape, seed=0)
    found = newton_schulz(matrix, 8)
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    along = u.mT @ found @ vh.mT
    values = along.diagonal(dim1=-2, dim2=-1)
    assert values.min() > 0.6 and values.max() < 1.3
    assert (along - torch.diag_embed(values)).abs().max() < 1e-10
    assert not newton_schulz(torch.zeros_like(matrix), 8).any()


def test_an_inverse_root_is_one_and_a_matrix_that_is_not_finite_is_lost_alone():
    rows = random(2, 3, 5, 9, seed=1)
    matrix = rows @ rows.mT
    root = inverse_root(matrix, 4, 1e-6)
    assert_close(root @ root @ root @ root @ matrix, torch.eye(5).double().expand_as(matrix), 1e-8)
    matrix[0, 1, 2, 2] = torch.inf
    broken = inverse_root(matrix, 4, 1e-6)
    lost = broken.isnan().all(dim=-1).all(dim=-1)
    assert lost.tolist() == [[False, True, False], [False, False, False]]
    assert torch.equal(broken[~lost], root[~lost])


def test_rounding_cannot_take_a_root_below_its_smallest_value():
    """In single precision an eigenvalue of 1e-6 beside one of 1e4 is rounding, of either sign."""
    basis = torch.linalg.qr(random(40, 40, seed=2)).Q
    values = torch.full((40,), 1e-6, dtype=torch.float64)
    values[:4] = 1e4
    matrix = ((basis * values) @ basis.mT).float()
    root = inverse_root(matrix, 4, 1e-6)
    assert root.isfinite().all()
    assert torch.linalg.matrix_norm(root, 2) <= 1e-6**-0.25 * 1.001


@pytest.mark.parametrize("rule", RULES)
def test_a_run_that_overflows_is_lost_alone_from_then_on(rule):
    """Even from good weights again: its memory is not finite. The others keep every bit."""
    of = population(seeds=(3, 7))
    start = random_weights(of, 2)
    huge = start.features.clone()
    huge[0, 0] = 1e200
    paths = []
    for features in (start.features, huge):
        stepper = Stepper(method_settings(rule, LRS, **RULES[rule][0]), of, start)
        for t, weights in enumerate((Weights(features, start.head), start, start)):
            batch = random_batch(of, 16, seed=10 * t)
            stepped = stepper.step(weights, [Moments.of_batch(*batch)])
        paths.append(torch.cat([part.flatten(2) for part in stepped], dim=2).flatten(0, 1))
    calm, broken = paths
    assert broken[0].isnan().any()
    assert torch.equal(calm[1:], broken[1:])
