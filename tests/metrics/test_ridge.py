"""Ridge regression and leading singular values against direct solves."""

import pytest
import torch

from helpers import assert_close, random
from layerwise.metrics.ridge import STRENGTHS, ridge_path, validated_ridge
from layerwise.metrics.singular import cosine, leading_singular


@pytest.mark.parametrize("n, p", [(40, 7), (7, 40), (12, 12)])
def test_ridge_is_a_direct_solve(n, p):
    """The bordered normal equations, intercept included, for each strength."""
    features, labels = random(n, p, seed=0) + 0.5, random(n, seed=1) + 2
    path = ridge_path(features, labels, [1e-4, 0.1, 10.0])
    scale = features.var(dim=0, correction=0).mean()
    assert_close(path.strength, scale * scale.new_tensor([1e-4, 0.1, 10.0]))
    design = torch.cat([features, torch.ones(n, 1, dtype=torch.float64)], dim=1)
    for i, strength in enumerate(path.strength):
        penalty = torch.diag(torch.cat([strength.repeat(p), strength.new_zeros(1)]))
        solution = torch.linalg.solve(design.mT @ design / n + penalty, design.mT @ labels / n)
        assert_close(path.weights[:, i], solution[:p], 1e-9)
        assert_close(path.intercept[i], solution[p], 1e-9)
        assert_close(path.predict(features)[:, i], design @ solution, 1e-9)


def test_the_strength_with_the_least_held_out_error_is_chosen():
    features, truth = random(40, 30, seed=2), random(30, seed=3)
    labels = features @ truth + 3 * random(40, seed=4)
    held_out = random(500, 30, seed=5)
    target = held_out @ truth
    chosen = validated_ridge(features, labels, held_out, target)
    path = ridge_path(features, labels, STRENGTHS)
    errors = (path.predict(held_out) - target[:, None]).square().mean(dim=0)
    assert float((chosen.predict(held_out) - target).square().mean()) == pytest.approx(
        float(errors.min()), rel=1e-9
    )
    assert 0 < int(errors.argmin()) < len(STRENGTHS) - 1


def test_constant_features_predict_the_mean():
    labels = random(10, seed=0)
    fit = validated_ridge(labels.new_ones(10, 3), labels, labels.new_ones(4, 3), labels[:4])
    assert_close(fit.predict(labels.new_ones(2, 3)), labels.mean().repeat(2))


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_singular_values_and_vector(shape):
    matrix = random(*shape, seed=8)
    singular, exact = leading_singular(matrix, 4), torch.linalg.svd(matrix)
    assert_close(singular.values, exact.S[:4], 1e-12)
    top = singular.top / singular.top.norm()
    assert float((top @ exact.Vh[0]).abs()) == pytest.approx(1, abs=1e-12)


def test_the_cosine_is_that_of_the_angle():
    a, b = torch.tensor([3.0, 0.0]).double(), torch.tensor([-2.0, 2.0]).double()
    assert cosine(a, b) == pytest.approx(-(0.5**0.5), abs=1e-15)
