"""Moments of a raw batch under changes of its inputs, and the law of the exact draws."""

import itertools

import pytest
import torch

from helpers import assert_close, population, random, random_batch
from layerwise.data.batches import RawBatches
from layerwise.data.moments import Moments, gaussian_moments
from layerwise.data.population import Population

DRAWS = 4000
FIELDS = ("xx", "yx", "yy", "x_mean", "y_mean")


def assert_same(actual, expected):
    for name in FIELDS:
        assert_close(getattr(actual, name), getattr(expected, name))


def test_moments_are_averages_over_the_batch():
    """Each moment, sample by sample."""
    x, y = random_batch(population(), 5, seed=0, mean=0.5)
    moments = Moments.of_batch(x, y)
    for s in range(2):
        pairs = list(zip(x[s], y[s], strict=True))
        assert_close(moments.xx[s], sum(torch.outer(a, a) for a, _ in pairs) / 5)
        assert_close(moments.yx[s], sum(torch.outer(b, a) for a, b in pairs) / 5)
        assert_close(moments.yy[s], sum(b @ b for _, b in pairs) / 5)
        assert_close(moments.x_mean[s], sum(a for a, _ in pairs) / 5)
        assert_close(moments.y_mean[s], sum(b for _, b in pairs) / 5)


def test_centring_the_moments_is_centring_the_batch():
    x, y = random_batch(population(), 12, seed=0, mean=2.0)
    actual = Moments.of_batch(x, y).centred
    expected = Moments.of_batch(x - x.mean(dim=1, keepdim=True), y)
    assert_close(actual.xx, expected.xx)
    assert_close(actual.yx, expected.yx)
    assert_close(actual.yy, expected.yy)
    assert not actual.x_mean.any()


def test_mapping_the_moments_is_mapping_the_batch():
    x, y = random_batch(population(), 12, seed=0, mean=2.0)
    map = random(2, 6, 6, seed=5)
    map = map + map.mT
    assert_same(Moments.of_batch(x, y).transformed_inputs(map), Moments.of_batch(x @ map, y))


def test_scaling_the_moments_is_scaling_the_batch():
    x, y = random_batch(population(), 12, seed=0, mean=2.0)
    scale = random(2, 6, seed=5)
    actual = Moments.of_batch(x, y).scaled_inputs(scale)
    assert_same(actual, Moments.of_batch(x * scale[:, None], y))


def joint_covariance(of):
    """The covariance of w = (x, y), shape (d_x + d_y, d_x + d_y), of the first seed."""
    sigma, map = of.covariance_power(1.0)[0], of.map[0]
    noise = of.noise**2 * torch.eye(len(map), dtype=map.dtype)
    upper = torch.cat([sigma, sigma @ map.T], dim=1)
    return torch.cat([upper, torch.cat([map @ sigma, map @ sigma @ map.T + noise], dim=1)])


def places(d_x, d_y):
    """Each drawn number as a list of index pairs of w w^T / n, whose sum it is; means apart."""
    inputs, outputs = range(d_x), range(d_x, d_x + d_y)
    xx = [[(i, j)] for i in inputs for j in inputs if i >= j]
    yx = [[(i, j)] for i in outputs for j in inputs]
    return [*xx, *yx, [(i, i) for i in outputs]]


def draw_all(of, n, draws=DRAWS):
    """All drawn numbers, shape (draws, count): xx below the diagonal, yx, yy, x_mean, y_mean."""
    source = gaussian_moments(of, n, [0], "test")
    rows, columns = torch.tril_indices(*of.covariance_power(1.0).shape[1:])
    drawn = [source.next() for _ in range(draws)]
    return torch.stack(
        [
            torch.cat([m.xx[0, rows, columns], m.yx[0].flatten(), m.yy, m.x_mean[0], m.y_mean[0]])
            for m in drawn
        ]
    )


def z_scores(samples, expected):
    """How many standard errors the averages of samples (draws, ...) are from their expectation."""
    error = samples.std(dim=0) / len(samples) ** 0.5
    return (samples.mean(dim=0) - expected).abs() / error


LAW_CASES = [(2, 0.5), (3, 0.5), (4, 0.5), (5, 0.5), (40, 0.5)]


@pytest.mark.parametrize(("n", "noise"), LAW_CASES)
def test_exact_draws_have_the_batchs_mean_and_covariance(n, noise):
    """For Gaussian w = (x, y) with covariance C the averages W = w w^T / n over n samples have
    E W = C and Cov(W_ij, W_kl) = (C_ik C_jl + C_il C_jk) / n, and the means C / n, uncorrelated
    with W. Every mean and every pair's covariance lies within 5 standard errors over 4000 draws;
    d_x = 4, so that n covers less, equal and more, and n = 2.
    """
    of = population(seeds=(0,), d_x=4, d_y=3, rank=2, noise=noise)
    C = joint_covariance(of)
    lists, size = places(4, 3), len(C)
    expected = torch.stack([sum(C[i, j] for i, j in pairs) for pairs in lists])
    expected = torch.cat([expected, C.new_zeros(size)])

    def covariance(first, second):
        return sum(C[i, k] * C[j, m] + C[i, m] * C[j, k] for i, j in first for k, m in second)

    blocks = torch.stack([torch.stack([covariance(a, b) for b in lists]) for a in lists])
    expected_covariance = torch.block_diag(blocks, C) / n
    samples = draw_all(of, n)
    centred = samples - expected
    assert z_scores(samples, expected).max() < 5
    products = centred[:, :, None] * centred[:, None, :]
    assert z_scores(products, expected_covariance).max() < 5


def test_the_scores_have_power():
    """For draws of a batch of 40, the same scores reject the variance of a batch of 30."""
    of = population(seeds=(0,), d_x=4, d_y=3, rank=2, noise=0.5)
    C = joint_covariance(of)
    samples = draw_all(of, 40)
    spread = (samples[:, 0] - C[0, 0]).square()
    assert z_scores(spread[:, None], 2 * C[0, 0] ** 2 / 40).max() < 5
    assert z_scores(spread[:, None], 2 * C[0, 0] ** 2 / 30).max() > 5


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_small_batch_has_a_small_rank(n):
    """With n samples, xx has rank n and the centred xx rank n - 1, as for a raw batch."""
    moments = gaussian_moments(population(), n, [0, 1], "test").next()
    assert (torch.linalg.matrix_rank(moments.xx) == n).all()
    assert (torch.linalg.matrix_rank(moments.centred.xx) == n - 1).all()


@pytest.mark.parametrize("n", [2, 5, 50])
@pytest.mark.parametrize("engine", [gaussian_moments, RawBatches])
def test_the_joint_second_moment_is_one_of_a_batch(engine, n):
    """yy = tr E[y y^T] is at least what the inputs explain of y, tr(yx xx^+ yx^T), and without
    noise equal to it."""
    for noise in (0.0, 0.3):
        of = population(noise=noise)
        moments = engine(of, n, [0, 1], "test").next()
        explained = (moments.yx @ torch.linalg.pinv(moments.xx, rtol=1e-10)) * moments.yx
        explained = explained.sum(dim=(-2, -1))
        if noise == 0.0 or n <= 6:  # up to d_x samples the inputs explain everything
            assert_close(explained, moments.yy, 1e-8)
        else:
            assert (moments.yy > explained).all()


def test_without_noise_the_outputs_are_the_true_maps():
    """y = F* G* x in every moment."""
    of = population(noise=0.0)
    moments = gaussian_moments(of, 20, [0, 1], "test").next()
    assert_close(moments.yx, of.map @ moments.xx)
    assert_close(moments.yy, (of.map @ moments.xx @ of.map.mT).diagonal(dim1=1, dim2=2).sum(1))
    assert_close(moments.y_mean, (of.map @ moments.x_mean[..., None]).squeeze(-1))


@pytest.mark.parametrize("inputs", ["gaussian", "rademacher"])
def test_raw_batches_have_the_populations_law(inputs):
    """x = Sigma^(1/2) u with white u, and y - F* G* x is white noise of the stated size."""
    of = population(seeds=(0,), noise=0.3)
    x, y = RawBatches(of, 20000, [0], "test", inputs).next_batch()
    u = x[0] @ of.covariance_power(-0.5)[0]
    noise = (y - x @ of.map.mT)[0] / 0.3
    both = torch.cat([u, noise], dim=1)
    products = both[:, :, None] * both[:, None, :]
    identity = torch.eye(10, dtype=x.dtype)
    apart = ~torch.eye(10, dtype=torch.bool)
    assert z_scores(products, identity)[apart].max() < 4.5
    assert z_scores(both, 0.0).max() < 4.5
    squares = both.square().mean(dim=0)
    assert_close(squares, torch.ones_like(squares), 0.05)
    if inputs == "rademacher":
        assert_close(u.abs(), torch.ones_like(u))
    else:
        assert (u.abs() > 3).any()


def test_kinds_of_engine_agree_at_the_law_of_large_numbers():
    """At n = 10^8 the exact draw costs nothing and is the population's moments to 1e-3."""
    of = population(seeds=(0,))
    moments = gaussian_moments(of, 10**8, [0], "test").next()
    C = joint_covariance(of)
    assert_close(moments.xx[0], C[:6, :6], 1e-3)
    assert_close(moments.yx[0], C[6:, :6], 1e-3)
    assert_close(moments.yy[0], C[6:, 6:].trace(), 1e-3)


def test_draws_of_a_stream_differ():
    """No two draws and no two seeds share a number."""
    source = gaussian_moments(population(), 20, [0, 1], "test")
    draws = [source.next().xx for _ in range(3)]
    flat = [matrix for draw in draws for matrix in draw]
    for a, b in itertools.combinations(flat, 2):
        assert (a != b).all()


def test_single_precision_draws_have_the_same_law():
    """They come from another generator: means of moments over 3000 batches are the population's, and
    their variances those in double precision, within 5 standard errors."""
    of = population([0], noise=0.3)
    single = Population(
        of.features.float(),
        of.head.float(),
        of.eigenvalues.float(),
        of.eigenvectors.float(),
        of.noise,
    )
    drawn = {}
    for name, law in (("double", of), ("single", single)):
        source = gaussian_moments(law, 20, [0], "test")
        batches = [source.next() for _ in range(3000)]
        drawn[name] = torch.stack(
            [torch.cat([b.xx.flatten(), b.yx.flatten(), b.yy, b.x_mean.flatten(), b.y_mean.flatten()])
             for b in batches]
        ).double()  # fmt: skip
    double, single = drawn["double"], drawn["single"]
    error = (double.var(dim=0) / len(double)).sqrt()
    assert ((single.mean(dim=0) - double.mean(dim=0)).abs() < 5 * 2**0.5 * error).all()
    # The variance of a sample variance is at most (kurtosis - 1)/n of its square: a quarter is generous.
    assert (single.var(dim=0) / double.var(dim=0)).log().abs().max() < 0.25
