"""KFAC's floors against KFAC itself, written out here on raw batches, and against measured numbers."""

import numpy as np
import pytest
from linear_tasks import batch_moments, linear_task
from scipy.stats import chi2

from layerwise.data.covariance import haar, spectrum
from layerwise.theory.kfac_noise import (
    distance_after,
    distance_floor,
    excess_loss_floor,
    noise_gain,
    tangent_draws,
)
from layerwise.theory.linear_task import LinearTask, subspace_distance
from layerwise.theory.population import kfac_start

NOISE = 0.1


def kfac(
    task: LinearTask, lr: float, noise: float, n: int, steps: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Subspace distances and excess losses after each step of Eq. 5 on fresh batches."""
    rng = np.random.default_rng(seed)
    features, head = task.features, task.head
    true = task.head_true @ task.features_true
    distances, losses = [], []
    for _ in range(steps):
        moment, x = batch_moments(rng, task.eigenvalues, n)
        y = x @ true.T + noise * rng.standard_normal((n, len(true)))
        gradient = head.T @ (head @ features @ moment - y.T @ x / n)
        features = features - lr * np.linalg.solve(head.T @ head, gradient) @ np.linalg.inv(moment)
        z = x @ features.T
        head = (1 - lr) * head + lr * np.linalg.solve(z.T @ z, z.T @ y).T
        distances.append(float(subspace_distance(features, task.features_true)))
        losses.append(0.5 * np.sum((head @ features - true) ** 2 * task.eigenvalues))
    return np.array(distances), np.array(losses)


def trained(task: LinearTask) -> LinearTask:
    """The same instance, started at the truth: what is left is noise."""
    return task._replace(features=task.features_true, head=task.head_true)


def floors(lr: float, kappa_x: float, kappa_f: float, n: int, seed: int) -> tuple[float, float]:
    """Stationary median distance and mean excess loss, of a small problem, over 20 memories."""
    task = trained(linear_task(seed, kappa_x, kappa_f, d=20, d_y=6, k=3))
    memory = round(3 / lr) + 3
    distances, losses = kfac(task, lr, NOISE, n, 40 * memory, seed)
    return float(np.median(distances[memory:])), float(losses[memory:].mean())


@pytest.mark.parametrize(("lr", "kappa_x", "kappa_f"), [(0.1, 30, 1), (0.3, 1, 4), (1.0, 100, 3)])
def test_the_floor_is_where_kfac_stays(lr, kappa_x, kappa_f):
    """Within 5 %: some hundred memories of the noise over eight instances, and first order in the noise."""
    seeds, n = range(8), 300
    measured = np.array([floors(lr, kappa_x, kappa_f, n, seed) for seed in seeds])
    tasks = [linear_task(seed, kappa_x, kappa_f, d=20, d_y=6, k=3) for seed in seeds]
    predicted = [
        distance_floor(
            lr,
            NOISE,
            n,
            task.eigenvalues,
            np.geomspace(1, 1 / kappa_f, 3),
            task.features_true,
            1000,
        ).median
        for task in tasks
    ]
    assert np.mean(measured[:, 0] / predicted) == pytest.approx(1, abs=0.05)
    loss = excess_loss_floor(lr, NOISE, n, (20, 6, 3))
    assert measured[:, 1].mean() == pytest.approx(loss, rel=0.05)


def test_in_one_dimension_the_law_is_chi_squared():
    """k = 1 and Sigma_x = I: the squared draws are chi-squared with d - 1 degrees of freedom over s^2."""
    draws = 2 * tangent_draws(np.ones(11), [2.0], draws=20_000)
    for level in (0.05, 0.5, 0.95):
        assert np.quantile(draws**2, level) == pytest.approx(chi2.ppf(level, 10), rel=0.02)


@pytest.mark.parametrize(
    ("lr", "n", "measured"),
    [(0.032, 1000, 0.01207), (0.1, 1000, 0.02139), (0.56, 1000, 0.05915), (1.0, 300, 0.203)],
)
def test_an_earlier_audits_medians(lr, n, measured):
    """At d = 100, k = 8, kappa_x = 100: it measured these, and G* of its seeds is not ours: 4 %."""
    floor = distance_floor(lr, NOISE, n, spectrum("log", 100, 100), np.ones(8))
    assert floor.median == pytest.approx(measured, rel=0.04)
    assert floor.median_error < 0.003 * floor.median


def test_an_earlier_audits_excess_losses():
    """At d = 100, d_y = 15, k = 8, n = 1000; the term inside the subspace is what its formula lacked."""
    loss = excess_loss_floor([0.1, 1.0], NOISE, 1000, (100, 15, 8))
    np.testing.assert_allclose(loss, [2.65e-4, 4.59e-3], rtol=0.035)
    assert loss[1] == pytest.approx(4.73e-3, rel=2e-3)  # at eta = 1 the two formulas are the same


def test_the_floor_grows_as_the_conditioning_does_and_the_loss_does_not():
    def median(kappa_x, kappa_f):
        sigma = np.geomspace(1, 1 / kappa_f, 8)
        return distance_floor(0.1, NOISE, 1000, spectrum("log", 100, kappa_x), sigma).median

    assert median(1000, 1) / median(1, 1) > 5
    assert median(1, 10) / median(1, 1) > 5
    assert 0.2 < median(1000, 10) < 0.7  # KFAC's iterations rise there: the target 0.1 is below


def test_scalings():
    """The tangent goes as sigma, as sqrt(eta / (2 - eta)), and as 1 / sqrt(n - d - 1)."""
    arguments = np.ones(10), np.ones(2)

    def tangent(lr, noise, n):
        sine = distance_floor(lr, noise, n, *arguments, draws=500).median
        return sine / np.sqrt(1 - sine**2)

    base = tangent(0.5, 0.1, 111)
    assert tangent(0.5, 0.2, 111) == pytest.approx(2 * base, rel=1e-9)
    assert tangent(0.5, 0.1, 411) == pytest.approx(base / 2, rel=1e-9)
    assert tangent(1.5, 0.1, 111) == pytest.approx(3 * base, rel=1e-9)
    assert noise_gain(1.0) == 1


@pytest.mark.parametrize("lr", [0.03, 0.1, 0.3])
def test_distance_after_a_number_of_steps(lr):
    """Noise and what is left of the start, from a random start: within 10 % over four instances."""
    n, steps, ratios = 400, np.array([10, 30, 100]), []
    for seed in range(4):
        task = linear_task(seed, 10, 1, d=20, d_y=6, k=3)
        reruns = [kfac(task, lr, NOISE, n, 100, 10 * seed + i)[0][steps - 1] for i in range(8)]
        measured = np.sqrt(np.mean(np.square(reruns), axis=0))
        floor = distance_floor(lr, NOISE, n, task.eigenvalues, np.ones(3), task.features_true, 1000)
        ratios.append(measured / distance_after(lr, steps, floor.mean, kfac_start(task, lr)))
    mean = np.mean(ratios, axis=0)
    # While the start is still far away, A has not settled and the law is not yet this one.
    settled = (1 - lr) ** steps < 0.1
    assert settled.any()
    np.testing.assert_allclose(mean[settled], 1, atol=0.1)


def test_what_has_no_stationary_law_is_refused():
    with pytest.raises(ValueError, match="0 < lr < 2"):
        noise_gain(2.0)
    with pytest.raises(ValueError, match="batch_size = 101 is too small: 100 dimensions need 102"):
        distance_floor(0.1, NOISE, 101, np.ones(100), np.ones(2))
    with pytest.raises(ValueError, match="positive"):
        tangent_draws([1.0, 0.0], [1.0])
    with pytest.raises(ValueError, match="k < d_x"):
        excess_loss_floor(0.1, NOISE, 100, (3, 5, 3))


def test_a_fixed_subspace_and_a_random_one_agree_on_average():
    eigenvalues = spectrum("log", 30, 100)
    rng = np.random.default_rng(0)
    fixed = [
        tangent_draws(eigenvalues, np.ones(3), haar(rng, 30, 3).T, 400, seed).mean()
        for seed in range(30)
    ]
    assert np.mean(fixed) == pytest.approx(tangent_draws(eigenvalues, np.ones(3)).mean(), rel=0.03)
