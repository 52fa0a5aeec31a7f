"""The population's recursions against the package's methods on huge batches, and measured numbers."""

import numpy as np
import pytest
from linear_tasks import linear_task

from helpers import problem, run
from layerwise.data.instances import draw
from layerwise.results.first_passage import first_passage
from layerwise.theory.linear_task import LinearTask, outside, subspace_distance
from layerwise.theory.population import gradient_descent_iterations, kfac_start


def tasks_of_package(seeds: range, **sizes: float) -> list[LinearTask]:
    """The package's own instances, in the eigenbasis of Sigma_x."""
    drawn = draw(problem(kappa_f=1.0, **sizes), seeds)
    return [
        LinearTask(drawn.eigenvalues, true @ vectors, head_true, features @ vectors, head)
        for true, vectors, head_true, features, head in zip(
            drawn.features_true, drawn.eigenvectors, drawn.head_true, drawn.features_init,
            drawn.head_init, strict=True,
        )
    ]  # fmt: skip


# The step sizes that SGD takes at n = 1024, of eight a decade, and the iterations that an earlier audit
# of the results computed.
AUDITED = [(1, 0.42169650, 15.6), (10, 0.31622777, 39.2), (100, 0.17782794, 273.0)]


def median_iterations(kappa_x: float, lr: float, max_steps: int) -> float:
    tasks = tasks_of_package(range(16), d_x=100, d_y=15, rank=8, kappa_x=float(kappa_x))
    return float(
        np.median([gradient_descent_iterations(task, lr, 0.1, max_steps) for task in tasks])
    )


@pytest.mark.parametrize(("kappa_x", "lr", "audited"), AUDITED)
def test_an_earlier_audits_iterations(kappa_x, lr, audited):
    assert median_iterations(kappa_x, lr, 600) == pytest.approx(audited, rel=0.01)


@pytest.mark.slow
def test_an_earlier_audits_iterations_where_they_are_many():
    assert median_iterations(1000, 0.1, 5000) == pytest.approx(2795, rel=0.01)


def test_iterations_are_those_of_sgd_on_huge_batches():
    """The package's SGD at n = 10^8, whose passages are interpolated from its traces."""
    table = run(
        "sgd", "method.lr=[0.05,0.1,0.2]", "task.noise=0", "task.batch_size=100000000", "steps=400",
        "task.kappa_x=4", "seeds=3",
    )  # fmt: skip
    tasks = tasks_of_package(range(3), d_x=8, d_y=5, rank=3, kappa_x=4.0)
    for seed, task in enumerate(tasks):
        theory = gradient_descent_iterations(task, [0.05, 0.1, 0.2], 0.1, 400)
        for lr, expected in zip((0.05, 0.1, 0.2), theory, strict=True):
            trace = table[(table["seed"] == seed) & np.isclose(table["lr"], lr)]
            measured = first_passage(trace["step"], trace["subspace_distance"], 0.1)
            assert np.isfinite(measured)
            assert measured == pytest.approx(expected, rel=2e-3)


def test_step_sizes_that_diverge_never_arrive():
    iterations = gradient_descent_iterations(linear_task(0, 10, 1), [[0.1, 5.0]], 0.1, 200)
    assert iterations.shape == (1, 2)
    assert np.isfinite(iterations[0, 0]) and np.isinf(iterations[0, 1])
    assert np.isinf(gradient_descent_iterations(linear_task(0, 10, 1), 0.1, 0.1, 20))


@pytest.mark.parametrize("lr", [0.05, 0.3, 0.8])
def test_kfacs_start_is_what_its_distance_over_the_law_tends_to(lr):
    task = linear_task(1, 100, 3, d=30, d_y=7, k=4)
    features, head = task.features, task.head
    true = task.head_true @ task.features_true
    steps = round(np.log(1e-4) / np.log(1 - lr))
    for _ in range(steps):
        residual = (head @ features - true) * task.eigenvalues
        gradient = head.T @ residual / task.eigenvalues
        features = features - lr * np.linalg.solve(head.T @ head, gradient)
        moment = (features * task.eigenvalues) @ features.T
        residual = (head @ features - true) * task.eigenvalues
        head = head - lr * residual @ features.T @ np.linalg.inv(moment)
    left = (1 - lr) ** steps
    expected = left * outside(task.features, task.features_true)
    np.testing.assert_allclose(outside(features, task.features_true), expected, atol=1e-12)
    sine = subspace_distance(features, task.features_true)
    assert sine == pytest.approx(left * kfac_start(task, lr), rel=1e-3)


def test_subspace_distance_is_the_sine_of_the_largest_angle():
    true = np.eye(3)[:2]
    turned = np.array([[1.0, 0, 0], [0, np.cos(0.3), np.sin(0.3)]])
    mixed = np.array([[2.0, 1], [0, 3]]) @ turned
    assert subspace_distance(mixed, true) == pytest.approx(np.sin(0.3), rel=1e-12)
    assert subspace_distance(np.stack([mixed, true]), true)[1] == 0


def test_what_is_impossible_is_refused():
    task = linear_task(0, 1, 1, d=5, d_y=3, k=2)
    for lr, target, words in ((-0.1, 0.1, "lr"), (0.1, 1.0, "target")):
        with pytest.raises(ValueError, match=words):
            gradient_descent_iterations(task, lr, target, 5)
    with pytest.raises(ValueError, match="lr = 1.5"):
        kfac_start(task, 1.5)
