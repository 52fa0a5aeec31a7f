"""Adam's iterations follow gradient flow's time: on quadratics, and on the two-layer problem."""

import numpy as np
import pytest
from linear_tasks import linear_task

from layerwise.data.covariance import haar, spectrum
from layerwise.theory.adam_rate import EXPONENT, iterations, largest_stable, step_sizes
from layerwise.theory.linear_task import LinearTask, subspace_distance
from layerwise.theory.population import gradient_descent_iterations

TARGET = 0.1


def quadratic(
    eigenvalues: np.ndarray, lr: float, beta1: float, beta2: float, max_steps: int = 20_000
) -> tuple[float, float, np.ndarray]:
    """Adam with one second moment for all coordinates, on sum lambda w^2 / 2 from w = 1: the first step
    with all |w| at the target, the sum of the mean squared gradients, and the step sizes until then."""
    w, first, second, energy, sizes = np.ones_like(eigenvalues), 0.0, 0.0, 0.0, []
    for t in range(1, max_steps + 1):
        gradient = eigenvalues * w
        power = float(np.mean(gradient**2))
        energy += power
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * power
        sizes.append(lr / np.sqrt(second / (1 - beta2**t)))
        w = w - sizes[-1] * first / (1 - beta1**t)
        if np.abs(w).max() <= TARGET:
            return t, energy, np.array(sizes)
    return np.inf, energy, np.array(sizes)


def flow_time(eigenvalues: np.ndarray) -> float:
    """The slowest mode's e^(-lambda tau) at the target."""
    return float(np.log(1 / TARGET) / eigenvalues.min())


@pytest.mark.parametrize("kappa", [1000, 3000, 10_000])
@pytest.mark.parametrize("beta2", [0.9, 0.999, 1 - 1e-6])
def test_iterations_on_a_quadratic(kappa, beta2):
    """Within a memory, beyond it, and where the largest stable step size rules: 15 %."""
    eigenvalues = spectrum("log", 100, kappa)
    measured, energy, _ = quadratic(eigenvalues, 0.3, 0.9, beta2)
    predicted = iterations(flow_time(eigenvalues), 0.3, energy, eigenvalues[0], 0.9, beta2)
    assert measured == pytest.approx(float(predicted), rel=0.15)


def test_the_step_size_grows_as_the_root_of_the_step_count():
    measured, energy, sizes = quadratic(spectrum("log", 100, 1000), 0.3, 0.9, 1 - 1e-6)
    steps = np.arange(50, measured + 1, dtype=int)
    np.testing.assert_allclose(
        sizes[steps - 1], step_sizes(steps, 0.3, energy, 1 - 1e-6), rtol=0.05
    )
    np.testing.assert_allclose(sizes[steps - 1], 0.3 * np.sqrt(steps / energy), rtol=0.05)


def test_two_thirds():
    """In closed form (3 sqrt(S) tau / (2 alpha))^(2/3), where no step size is too large."""
    times = np.geomspace(100, 10_000, 5)
    found = iterations(times, 0.1, 4.0, 1e-9, beta2=1 - 1e-9)
    np.testing.assert_allclose(found, (3 * 2.0 * times / 0.2) ** EXPONENT, rtol=0.02)


def test_without_momentum_the_largest_stable_step_size_rules():
    """Then T is at least tau curvature / 2, as gradient descent's: the exponent is flow's own."""
    assert largest_stable(0.9, 1.0) == pytest.approx(19 * largest_stable(0.0, 1.0))
    times = np.array([1000.0, 10_000.0])
    slow = iterations(times, 0.1, 4.0, 10.0, beta1=0.0)
    np.testing.assert_allclose(np.diff(slow), np.diff(times) * 10 / 2, rtol=1e-6)
    assert np.isinf(iterations(1e9, 0.1, 4.0, 10.0, max_steps=100))


# --- The two-layer problem -----------------------------------------------------------------------


def adam(task: LinearTask, basis: str, beta1: float, lr: float, max_steps: int = 6000) -> float:
    """First step at the target of Adam on the population's gradient, in a rotated basis or on the axes."""
    d = task.eigenvalues.size
    vectors = haar(np.random.default_rng(99), d, d) if basis == "rotated" else np.eye(d)
    covariance = (vectors * task.eigenvalues) @ vectors.T
    features_true = task.features_true @ vectors.T
    true = task.head_true @ features_true
    weights = [task.features @ vectors.T, task.head]
    first, second = [0.0, 0.0], [0.0, 0.0]
    for t in range(1, max_steps + 1):
        features, head = weights
        residual = (head @ features - true) @ covariance
        for i, gradient in enumerate((head.T @ residual, residual @ features.T)):
            first[i] = beta1 * first[i] + (1 - beta1) * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient**2
            scale = np.sqrt(second[i] / (1 - 0.999**t)) + 1e-8
            weights[i] = weights[i] - lr * first[i] / (1 - beta1**t) / scale
        if subspace_distance(weights[0], features_true) <= TARGET:
            return t
    return np.inf


def exponent(kappas: tuple[float, float], **settings: object) -> float:
    """Of the median iterations over four instances, at the best of three step sizes."""
    medians = [
        min(
            np.median([adam(linear_task(s, k, 1), lr=lr, **settings) for s in range(4)])
            for lr in (0.03, 0.05, 0.08)
        )
        for k in kappas
    ]
    return float(np.log(medians[1] / medians[0]) / np.log(kappas[1] / kappas[0]))


def flow_exponent(kappas: tuple[float, float]) -> float:
    """Of gradient flow's time, that is of step size times iterations at a small step size."""
    times = [
        np.median(
            [
                gradient_descent_iterations(linear_task(s, k, 1), 0.05, TARGET, 20_000)
                for s in range(4)
            ]
        )
        for k in kappas
    ]
    return float(np.log(times[1] / times[0]) / np.log(kappas[1] / kappas[0]))


@pytest.mark.slow
def test_adams_exponent_is_two_thirds_of_gradient_flows():
    """Near 1/2 between kappa_x = 100 and 3000; from 100 to 1000 an earlier audit measured 0.51."""
    predicted = EXPONENT * flow_exponent((100, 3000))
    measured = exponent((100, 3000), basis="rotated", beta1=0.9)
    assert measured == pytest.approx(predicted, abs=0.06)
    assert predicted == pytest.approx(0.51, abs=0.04)


@pytest.mark.slow
def test_what_the_explanation_needs():
    """Without momentum the exponent is near gradient descent's; along the axes, where every coordinate
    has its own second moment, there is none."""
    assert exponent((300, 1000), basis="rotated", beta1=0.0) > 0.75
    assert abs(exponent((100, 1000), basis="axis", beta1=0.9)) < 0.2
