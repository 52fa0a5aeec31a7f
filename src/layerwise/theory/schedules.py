"""How step sizes change over training: a factor on every method's lr, the same for all layers."""

import math
from collections.abc import Callable

# Where the inverse of time begins: the factor has halved after this share of the steps.
HALVED_AFTER = 1 / 20


def constant(done: float) -> float:
    """1."""
    return 1.0


def cosine(done: float) -> float:
    """From 1 to 0 along half a period (Loshchilov & Hutter 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def inverse_time(done: float) -> float:
    """1 / (1 + t / tau) with tau a twentieth of the steps: 1/t, as stochastic approximation has it
    (Robbins & Monro 1951), after a start at the full step size."""
    return 1 / (1 + done / HALVED_AFTER)


# By name; each takes the share of the steps that are done, from 0 to under 1, to the factor.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "inverse_time": inverse_time,
}
