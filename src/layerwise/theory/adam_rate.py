"""Adam's iterations from gradient flow's time: a step size that grows as the root of the step count.

Where Sigma_x is rotated, all coordinates of a layer have about the same second moment, and Adam is
gradient descent with momentum and one step size a layer, eta_t = alpha / sqrt(v_t). Gradients collapse
within the first steps, while v_t, corrected for its bias, is their average: so v_t is about S / t, with S
the sum of the squared gradients, as long as t is well below Adam's memory 1 / (1 - beta2). Then eta_t
grows as sqrt(t), the time of gradient flow that T steps cover as T^(3/2), and

    T = (3 sqrt(S) tau / (2 alpha))^(2/3)

for flow's time tau to the target. Momentum permits it: it lifts the largest stable step size from
2 / curvature to 2 (1 + beta1) / ((1 - beta1) curvature), 19 times as large at beta1 = 0.9.
docs/theory.md says how far this goes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

EXPONENT = 2 / 3  # of Adam's iterations in gradient flow's time


def step_sizes(
    steps: ArrayLike,  # t, from 1
    lr: float,  # alpha
    energy: float,  # S
    beta2: float,
) -> Array:
    """eta_t = alpha / sqrt(v_t) once the gradients have collapsed: the shape of ``steps``.

    v_t = (1 - beta2) beta2^t S / (1 - beta2^t): about S / t up to the memory, and falling as beta2^t
    beyond it. ``energy`` is the sum over steps of the mean squared entry of the layer's gradient.
    """
    decay = np.asarray(steps, dtype=float) * np.log(beta2)
    return lr * np.sqrt(np.expm1(-decay) / ((1 - beta2) * energy))


def largest_stable(beta1: float, curvature: float) -> float:
    """2 (1 + beta1) / ((1 - beta1) curvature), for the step w <- w - eta m with m an average of weight
    1 - beta1, and the largest eigenvalue of the loss."""
    return 2 * (1 + beta1) / ((1 - beta1) * curvature)


def iterations(
    flow_time: ArrayLike,  # tau
    lr: float,  # alpha
    energy: float,  # S
    curvature: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    max_steps: int = 100_000,
) -> Array:
    """Steps until the step sizes, none larger than is stable, sum to gradient flow's time; interpolated,
    infinite beyond ``max_steps``, the shape of ``flow_time``."""
    with np.errstate(over="ignore"):  # far beyond the memory, where the largest stable one rules
        grown = step_sizes(np.arange(1, max_steps + 1), lr, energy, beta2)
    covered = np.cumsum(np.minimum(grown, largest_stable(beta1, curvature)))
    covered = np.concatenate([[0.0], covered])
    taken: Array = np.interp(
        np.asarray(flow_time, dtype=float), covered, np.arange(max_steps + 1), right=np.inf
    )
    return taken
