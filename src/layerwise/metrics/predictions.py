"""What theory predicts of a run of linear representation learning, from its settings and its instance: a
column beside what is measured, NaN for methods and settings without a formula. No torch."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from layerwise.data.instances import Instances
from layerwise.results.summary import late_contractions
from layerwise.settings.run import RunSettings
from layerwise.theory import contraction
from layerwise.theory.kfac_noise import as_distance, distance_after, tangent_draws
from layerwise.theory.linear_task import LinearTask
from layerwise.theory.population import gradient_descent_iterations, kfac_start, outside_norms
from layerwise.theory.schedules import SCHEDULES

Array = NDArray[np.float64]

# Below it the start takes too many steps to follow, and nothing has been learnt yet.
SMALLEST_LR = 0.01
# Draws of the noise whose median is a floor; its Monte-Carlo error is then about 1 %.
DRAWS = 2000


def floor_theory(settings: RunSettings, drawn: Instances, steps: Array) -> Array:
    """KFAC's stationary subspace distance, (S, V): of the closed form whose variance follows the
    schedule, v+ = (1 - eta_t)^2 v + eta_t^2, from nothing at the start."""
    method, task = settings.method, settings.task
    values = np.full((len(settings.seeds), len(method.lr)), np.nan)
    preconditions = method.options.get("precondition_outputs") and not method.options.get("lr_head")
    is_eq5 = method.rule == "kfac.KFAC" and method.network == "plain" and preconditions
    plain = is_eq5 and method.damping == [0.0] and not method.options.get("factor_decay")
    freedom = task.batch_size - task.d_x - 1
    if not plain or freedom <= 0:
        return values
    gains = np.array([_gain(lr, settings) for lr in method.lr])
    for s in range(len(values)):
        rows = drawn.features_true[s] @ drawn.eigenvectors[s]
        singular = np.linalg.svd(drawn.head_true[s], compute_uv=False)
        draws = tangent_draws(drawn.eigenvalues, singular, rows, draws=DRAWS, seed=s)
        scale = task.noise * np.sqrt(gains / freedom)
        values[s] = np.median(as_distance(scale[:, None] * draws), axis=1)
    return values


def distance_theory(settings: RunSettings, drawn: Instances, steps: Array) -> Array:
    """KFAC's subspace distance after the last of ``steps``, (S, V): its floor, and what is left of the
    start; NaN where the floor is, and for step sizes below SMALLEST_LR or above 1."""
    values = floor_theory(settings, drawn, steps)
    if settings.schedule != "constant":
        return np.full_like(values, np.nan)
    for s, v in np.argwhere(np.isfinite(values)):
        lr = settings.method.lr[v]
        known = SMALLEST_LR <= lr <= 1
        start = kfac_start(_instance(drawn, int(s)), lr) if known else np.nan
        values[s, v] = distance_after(lr, settings.steps, values[s, v], start)
    return values


def _gain(lr: float, settings: RunSettings) -> float:
    """The variance of x+ = (1 - eta_t) x + eta_t noise after all steps, over the noise's own; NaN where
    it does not contract."""
    if not 0 < lr < 2:
        return float(np.nan)
    schedule = SCHEDULES[settings.schedule]
    variance = 0.0
    for step in range(settings.steps):
        eta = lr * schedule(step / settings.steps)
        variance = (1 - eta) ** 2 * variance + eta**2
    return variance


def contraction_theory(settings: RunSettings, drawn: Instances, steps: Array) -> Array:
    """The late contraction a step of |G (I - G*^T G*)|, (S, V), taken as that of a run is: 1 - eta for
    KFAC; for SGD that of the population's recursion of both layers, and with the head as it was drawn that
    of the sum over modes."""
    method = settings.method
    values = np.full((len(settings.seeds), len(method.lr)), np.nan)
    if method.network != "plain" or settings.schedule != "constant":
        return values
    if method.rule == "kfac.KFAC" and not any(method.damping):
        values[:] = contraction.kfac(method.lr)
    if method.rule != "sgd.SGD":
        return values
    for s in range(len(values)):
        task = _instance(drawn, s)
        if method.options.get("freeze_others"):
            norms = np.array([contraction.sgd_norm(steps, lr, task) for lr in method.lr])
        else:
            norms = outside_norms(task, method.lr, steps)
        values[s] = late_contractions(np.broadcast_to(steps, norms.shape), norms)
    return values


def iterations_theory(settings: RunSettings, drawn: Instances, steps: Array) -> Array:
    """T of population gradient descent, (S, V), at SGD's own step sizes, to the distance at which the
    run stops; NaN for other methods, and where it does not stop."""
    method, target = settings.method, settings.stop_at
    values = np.full((len(settings.seeds), len(method.lr)), np.nan)
    is_sgd = method.rule == "sgd.SGD" and not method.options.get("freeze_others")
    if not is_sgd or method.network != "plain" or settings.schedule != "constant" or target is None:
        return values
    for s in range(len(values)):
        task = _instance(drawn, s)
        values[s] = gradient_descent_iterations(task, method.lr, target, settings.steps)
    return values


def _instance(drawn: Instances, s: int) -> LinearTask:
    """A seed's, in the eigenbasis of Sigma_x."""
    basis = drawn.eigenvectors[s]
    return LinearTask(
        drawn.eigenvalues,
        drawn.features_true[s] @ basis,
        drawn.head_true[s],
        drawn.features_init[s] @ basis,
        drawn.head_init[s],
    )


# By name; each takes a run's settings, its instances and its recorded steps to (S, V).
PREDICTIONS: dict[str, Callable[[RunSettings, Instances, Array], Array]] = {
    "floor_theory": floor_theory,
    "distance_theory": distance_theory,
    "contraction_theory": contraction_theory,
    "iterations_theory": iterations_theory,
}
