"""The population limit of training on linear problems: n to infinity and sigma = 0, a recursion without
chance. docs/theory.md says what it is compared with."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerwise.results.first_passage import HOLD, first_passage
from layerwise.theory.linear_task import LinearTask, outside, subspace_distance

Array = NDArray[np.float64]

BOUND = 1e6  # no weight of these tasks, of order one, passes it and comes back


def gradient_descent_iterations(
    task: LinearTask, lr: ArrayLike, target: float, max_steps: int
) -> Array:
    """T of population gradient descent on both layers at once, for each step size: shape as ``lr``.

        G+ = G - eta F^T R,   F+ = F - eta R G^T,   R = (F G - F* G*) Sigma_x

    The interpolated first passage of the subspace distance below ``target`` that holds for five steps;
    infinite where there is none within ``max_steps``, or where a weight passes BOUND.

    Raises ValueError for targets outside (0, 1) and step sizes that are not positive.
    """
    rates = np.asarray(lr, dtype=float)
    if not 0 < target < 1:
        raise ValueError(f"target = {target} is impossible: it must lie between 0 and 1")
    if not (rates > 0).all():
        raise ValueError(f"lr = {lr!r} is impossible: it must be positive")
    passages = np.full(rates.size, np.inf)
    running = np.arange(rates.size)
    features = np.repeat(task.features[None], rates.size, axis=0)
    head = np.repeat(task.head[None], rates.size, axis=0)
    true = task.head_true @ task.features_true
    curves = np.full((rates.size, max_steps + 1), np.nan)
    curves[:, 0] = subspace_distance(task.features, task.features_true)
    for step in range(1, max_steps + 1):
        eta = rates.reshape(-1, 1, 1)[running]
        residual = (head @ features - true) * task.eigenvalues
        features, head = (
            features - eta * np.swapaxes(head, -1, -2) @ residual,
            head - eta * residual @ np.swapaxes(features, -1, -2),
        )
        curves[running, step] = subspace_distance(features, task.features_true)
        arrived = (curves[running, max(step - HOLD + 1, 0) : step + 1] <= target).all(axis=1)
        arrived &= step >= HOLD - 1
        for run in running[arrived]:
            curve = curves[run, : step + 1]
            passages[run] = first_passage(np.arange(step + 1), curve, target)
        bounded = (np.abs(features).max(axis=(1, 2)) < BOUND) & (
            np.abs(head).max(axis=(1, 2)) < BOUND
        )
        going = ~arrived & bounded
        running, features, head = running[going], features[going], head[going]
        if not running.size:
            break
    return passages.reshape(rates.shape)


def outside_norms(task: LinearTask, lr: ArrayLike, steps: ArrayLike) -> Array:
    """|G (I - G*^T G*)|_F of population gradient descent on both layers at once, at each of ``steps``
    (m,), ascending, for each step size (V,): (V, m). Infinite or NaN where it diverges."""
    rates = np.atleast_1d(np.asarray(lr, dtype=float))[:, None, None]
    wanted = np.asarray(steps, dtype=int)
    features = np.repeat(task.features[None], len(rates), axis=0)
    head = np.repeat(task.head[None], len(rates), axis=0)
    true = task.head_true @ task.features_true
    norms = np.empty((len(rates), len(wanted)))
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(int(wanted[-1]) + 1):
            for place in np.flatnonzero(wanted == step):
                away = outside(features, task.features_true)
                norms[:, place] = np.linalg.norm(away, axis=(-2, -1))
            residual = (head @ features - true) * task.eigenvalues
            features, head = (
                features - rates * np.swapaxes(head, -1, -2) @ residual,
                head - rates * residual @ np.swapaxes(features, -1, -2),
            )
    return norms


def kfac_start(task: LinearTask, lr: float, tolerance: float = 1e-9) -> float:
    """c: the tangent of the start's largest angle, in the coordinates in which population KFAC ends.

    G P_perp is exactly (1 - eta)^t G_0 P_perp, while the part inside, A = G G*^T, and F settle where
    F A = F*: the tangent tends to |A^-1 G_0 P_perp|_2 (1 - eta)^t. Here A is followed until it moves by
    less than ``tolerance`` of its size in a step, which 0 < eta <= 1 ensures.

    Raises ValueError for step sizes outside (0, 1].
    """
    if not 0 < lr <= 1:
        raise ValueError(f"lr = {lr!r} is impossible: it must lie in (0, 1]")
    true = task.head_true @ task.features_true
    start = outside(task.features, task.features_true)
    features, head = task.features, task.head
    inside = features @ task.features_true.T
    while True:
        features = (1 - lr) * features + lr * np.linalg.pinv(head) @ true
        moment = (features * task.eigenvalues) @ features.T
        head = (1 - lr) * head + lr * (true * task.eigenvalues) @ features.T @ np.linalg.inv(moment)
        before, inside = inside, features @ task.features_true.T
        if np.linalg.norm(inside - before) <= tolerance * np.linalg.norm(inside):
            return float(np.linalg.norm(np.linalg.solve(inside, start), ord=2))
