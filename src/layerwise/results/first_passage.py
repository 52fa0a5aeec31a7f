"""First passage of recorded curves below a target, interpolated. NumPy alone: theory uses it too."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Recorded steps for which a curve has to stay below.
HOLD = 5


def first_passage(steps: ArrayLike, values: ArrayLike, target: float, hold: int = HOLD) -> float:
    """T(target) of one curve, ``steps`` and ``values`` (m,): as :func:`first_passages`."""
    return float(first_passages(np.atleast_2d(steps), np.atleast_2d(values), target, hold)[0])


def first_passages(
    steps: ArrayLike, values: ArrayLike, target: float, hold: int = HOLD
) -> NDArray[np.float64]:
    """T(target), (n,): when each of n curves goes below ``target`` to stay there for ``hold`` recorded
    steps.

    ``steps`` (n, m) increase; ``values`` (n, m) are positive, NaN where a run has diverged. Between the
    two recorded steps around the crossing log(value) is taken as linear, so that T is not an integer. It
    is the first step where a curve starts below the target, and infinite (censored) where it does not go
    below, or is not recorded long enough to tell that it stays.
    """
    at, curves = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    passages = np.full(len(curves), np.inf)
    if curves.shape[1] < hold:
        return passages
    below = curves <= target  # NaN is not
    windows = np.lib.stride_tricks.sliding_window_view(below, hold, axis=1)
    stays = np.asarray(windows.all(axis=2))
    arrived = np.flatnonzero(stays.any(axis=1))
    first = stays[arrived].argmax(axis=1)
    earlier = np.maximum(first - 1, 0)
    before, after = curves[arrived, earlier], curves[arrived, first]
    start, end = at[arrived, earlier], at[arrived, first]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(before / target) / np.log(before / after)
        between = start + share * (end - start)
    crossed = (first > 0) & np.isfinite(before) & (after > 0)
    passages[arrived] = np.where(crossed, between, end)
    return passages
