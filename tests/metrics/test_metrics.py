"""Metrics against independent formulas, their limits and their symmetries."""

import math

import pytest
import torch

from helpers import assert_close, population, random, random_batch, random_weights
from layerwise.data.moments import gaussian_moments
from layerwise.data.population import Population
from layerwise.metrics.linear import (
    TransferTask,
    excess_loss,
    head_sigma_min,
    outside_norm,
    subspace_distance,
)
from layerwise.networks.base import Predictor
from layerwise.networks.linalg import orthonormal_rows


def transfer_task(of, n, seeds=(0, 1)):
    sample = gaussian_moments(of, n, seeds, "sample").next()
    return TransferTask(of, sample)


def excess(weights, of, offset=None):
    return excess_loss(Predictor(*weights, offset), of, of.covariance_power(0.5))


def distance(features, of):
    return subspace_distance(orthonormal_rows(features), of.features)


def test_subspace_distance_is_the_sine_of_the_largest_principal_angle():
    """The angles' cosines are the singular values of G_hat G*^T; the sine is also the spectral
    norm of the difference of the projectors."""
    of = population()
    features = random_weights(of, 2).features
    basis = torch.linalg.svd(features, full_matrices=False).Vh
    true = of.features[:, None].expand_as(basis)
    cosines = torch.linalg.svdvals(basis @ true.mT)
    actual = distance(features, of)
    assert_close(actual, torch.sin(torch.arccos(cosines.amin(dim=-1))))
    difference = basis.mT @ basis - true.mT @ true
    assert_close(actual, torch.linalg.matrix_norm(difference, ord=2))


@pytest.mark.parametrize("angle", [1e-12, 1e-8, 1e-3, 0.7, math.pi / 2])
def test_subspace_distance_keeps_the_digits_of_a_small_angle(angle):
    """One row turned out of the subspace by a known angle: a cosine would lose all below 1e-8."""
    of = population(seeds=(0,))
    true = of.features[0]
    outside = torch.linalg.svd(true).Vh[-1]
    turned = true.clone()
    turned[1] = math.cos(angle) * true[1] + math.sin(angle) * outside
    found = distance(turned[None, None], of).item()
    assert found == pytest.approx(math.sin(angle), rel=1e-3, abs=1e-15)


def test_subspace_metrics_depend_on_what_they_should():
    """The distance is that of row spaces; zero inside the true one; the outside norm scales."""
    of = population()
    features = random_weights(of, 2).features
    mix = random(3, 3, seed=7)
    before = distance(features, of)
    assert_close(distance(mix @ features, of), before)
    inside = (mix @ of.features)[:, None]
    assert (distance(inside, of) < 1e-14).all()
    assert (outside_norm(inside, of.features) < 1e-13).all()
    P = torch.eye(6, dtype=mix.dtype) - of.features.mT @ of.features
    expected = (features @ P[:, None]).square().sum(dim=(-2, -1)).sqrt()
    assert_close(outside_norm(features, of.features), expected)
    assert_close(outside_norm(3 * features, of.features), 3 * expected)


def test_the_heads_smallest_singular_value():
    head = random(2, 3, 4, 3, seed=0)
    assert_close(head_sigma_min(head), torch.linalg.svdvals(head)[..., -1])


def test_excess_loss_is_the_trace_formula():
    """0.5 tr[E Sigma E^T] with E = F G - F* G*, run by run; zero at the truth."""
    of = population()
    weights = random_weights(of, 2)
    sigma = of.covariance_power(1.0)
    actual = excess(weights, of)
    for s in range(2):
        for v in range(2):
            E = weights.head[s, v] @ weights.features[s, v] - of.head[s] @ of.features[s]
            assert_close(actual[s, v], 0.5 * torch.trace(E @ sigma[s] @ E.T))
    assert not excess((of.features[:, None], of.head[:, None]), of).any()


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_excess_loss_is_the_expected_loss_over_the_noises(shift):
    """Over 100000 fresh pairs, the average of 0.5 |y - f(x)|^2 less 0.5 d_y sigma^2, within 4
    standard errors; an offset of the features counts."""
    of = population(seeds=(0,), noise=0.3)
    weights = random_weights(of, 1)
    offset = shift * random(1, 1, 3, seed=8)
    x, y = random_batch(of, 100_000, seed=0)
    z = x[0] @ weights.features[0, 0].T + offset[0, 0]
    losses = 0.5 * (y[0] - z @ weights.head[0, 0].T).square().sum(dim=1) - 0.5 * 4 * 0.3**2
    expected = excess(weights, of, offset).item()
    assert abs(losses.mean() - expected) < 4 * losses.std() / len(losses) ** 0.5
    assert losses.std() / len(losses) ** 0.5 < 0.02 * expected  # the check is a sharp one


def test_the_population_refit_is_the_best_head():
    """F* G* Sigma G^T (G Sigma G^T)^-1 by dense inverses; any other head is worse."""
    of = population()
    basis = orthonormal_rows(random_weights(of, 2).features)
    loss = transfer_task(of, 50).losses(basis).population
    sigma = of.covariance_power(1.0)[:, None]
    best = of.map[:, None] @ sigma @ basis.mT @ torch.linalg.inv(basis @ sigma @ basis.mT)
    assert_close(loss, excess((basis, best), of))
    for seed in range(5):
        assert (excess((basis, best + 1e-2 * random(4, 3, seed=seed)), of) > loss).all()


def test_the_sample_refit_tends_to_the_population_refit():
    """The sample's loss lies above the limit by a term of order 1 / n: below 1e-5 of it at
    n = 10^8, and about 100 times smaller for 100 times the samples."""
    of = population(seeds=range(40))
    basis = orthonormal_rows(random_weights(of, 1).features)
    gaps = []
    for n in (100, 10_000, 10**8):
        task = transfer_task(of, n, range(40))
        limit = task.losses(basis).population
        gaps.append((task.losses(basis).sample - limit) / limit)
    assert all((gap > 0).all() for gap in gaps)
    assert gaps[2].max() < 1e-5
    assert 50 < gaps[0].mean() / gaps[1].mean() < 200


def test_true_features_transfer_without_loss():
    """With G = G*, in any basis, the population refit is exact, and without noise the sample's."""
    of = population(noise=0.0)
    basis = orthonormal_rows(random(3, 3, seed=7) @ of.features[:, None])
    task = transfer_task(of, 50)
    assert (task.losses(basis).population < 1e-20).all()
    assert (task.losses(basis).sample < 1e-20).all()


def test_metrics_do_not_change_under_rotations_of_the_inputs():
    """x -> R x turns G*, Sigma and G along and leaves every metric as it was."""
    of = population()
    R = torch.linalg.qr(random(6, 6, seed=3)).Q
    turned = Population(of.features @ R.T, of.head, of.eigenvalues, R @ of.eigenvectors, of.noise)
    weights = random_weights(of, 2)
    values = []
    for each, turn in ((of, torch.eye(6, dtype=R.dtype)), (turned, R)):
        features = weights.features @ turn.T
        basis = orthonormal_rows(features)
        task = transfer_task(each, 50)
        values.append(
            torch.stack(
                [
                    excess((features, weights.head), each),
                    distance(features, each),
                    outside_norm(features, each.features),
                    task.losses(basis).population,
                ]
            )
        )
    assert_close(values[0], values[1])
