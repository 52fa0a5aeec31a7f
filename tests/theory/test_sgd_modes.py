"""SGD's contraction at a frozen head: the sum over modes against the recursion."""

import numpy as np
import pytest
from linear_tasks import batch_moments, linear_task

from layerwise.theory.contraction import sgd_mean_norm, sgd_norm, sgd_slowest
from layerwise.theory.linear_task import LinearTask, outside


def norms(task: LinearTask, lr: float, steps: int, n: int | None = None) -> np.ndarray:
    """|G P_perp| after each step of SGD on G alone, without noise; n None is the population."""
    rng = np.random.default_rng(0)
    features, true = task.features, task.head_true @ task.features_true
    found = []
    for _ in range(steps + 1):
        found.append(np.linalg.norm(outside(features, task.features_true)))
        moment = (
            np.diag(task.eigenvalues) if n is None else batch_moments(rng, task.eigenvalues, n)[0]
        )
        features = features - lr * task.head.T @ (task.head @ features - true) @ moment
    return np.array(found)


def per_step(values: np.ndarray, at: np.ndarray) -> float:
    """The factor a step between the first and the last of the steps ``at``."""
    return (values[-1] / values[0]) ** (1 / (at[-1] - at[0]))


@pytest.mark.parametrize(("kappa_x", "kappa_f"), [(1, 1), (100, 1), (10, 10)])
@pytest.mark.parametrize("lr", [0.02, 0.1])
def test_the_sum_over_modes_is_exact_at_a_frozen_head(kappa_x, kappa_f, lr):
    task = linear_task(3, kappa_x, kappa_f, d=30, d_y=6, k=4)
    steps = np.arange(0, 301, 15)  # odd ones too: factors may be negative
    np.testing.assert_allclose(sgd_norm(steps, lr, task), norms(task, lr, 300)[steps], rtol=1e-8)


def test_on_batches_it_holds_within_three_percent_of_the_rate():
    task, steps = linear_task(3, 10, 1, d=30, d_y=6, k=4), np.array([100, 200])
    predicted = 1 - per_step(sgd_norm(steps, 0.05, task), steps)
    measured = 1 - per_step(norms(task, 0.05, 200, n=1000)[steps], steps)
    assert measured == pytest.approx(predicted, rel=0.03)


def test_the_mean_over_starts_and_subspaces():
    """The root mean square over 200 instances of one Sigma_x and F, with no part along G* at the start."""
    steps = np.array([10, 40, 100])
    head = linear_task(0, 1, 1, d=30, d_y=6, k=4).head
    squares, starts = [], []
    for seed in range(200):
        task = linear_task(seed, 10, 1, d=30, d_y=6, k=4)._replace(
            head=head, head_true=np.zeros((6, 4))
        )
        squares.append(sgd_norm(steps, 0.1, task) ** 2)
        starts.append(sgd_norm(0, 0.1, task) ** 2)
    measured = np.sqrt(np.mean(squares, axis=0) / np.mean(starts))
    sigma = np.linalg.svd(head, compute_uv=False)
    predicted = sgd_mean_norm(steps, 0.1, task.eigenvalues, sigma)
    np.testing.assert_allclose(predicted, measured, rtol=0.05)


def test_the_slowest_mode_rules_late_and_only_then():
    """It is the limit of the sum; over a window of steps that ends before, it is too slow."""
    eigenvalues, sigma, lr = np.geomspace(10, 1, 20), np.array([1.0, 0.9]), 0.1
    slowest = 1 - sgd_slowest(lr, eigenvalues.min(), sigma.min())

    def rate(first, last):
        steps = np.array([first, last])
        return 1 - per_step(sgd_mean_norm(steps, lr, eigenvalues, sigma), steps)

    assert rate(2000, 4000) == pytest.approx(slowest, rel=1e-3)
    assert rate(10, 20) > 1.3 * slowest
