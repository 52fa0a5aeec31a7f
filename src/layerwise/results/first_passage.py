"""First passage of a recorded curve below a target, interpolated. NumPy alone: theory uses it too."""

import numpy as np
from numpy.typing import ArrayLike

HOLD = 5


def first_passage(steps: ArrayLike, values: ArrayLike, target: float, hold: int = HOLD) -> float:
    """T(target): when the values go below ``target`` to stay there for ``hold`` recorded steps.

    ``steps`` (m,) increase; ``values`` (m,) are positive, NaN where a run has diverged. Between the two
    recorded steps around the crossing log(value) is taken as linear, so that T is not an integer. It is
    the first step where the curve starts below the target, and infinite (censored) where it does not go
    below, or is not recorded long enough to tell that it stays.
    """
    at, curve = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    below = curve <= target  # NaN is not
    if len(curve) < hold:
        return float(np.inf)
    stays = np.lib.stride_tricks.sliding_window_view(below, hold).all(axis=1)
    if not stays.any():
        return float(np.inf)
    first = int(stays.argmax())
    if first == 0:
        return float(at[0])
    before, after = curve[first - 1 : first + 1]
    if not np.isfinite(before) or after <= 0:
        return float(at[first])
    share = np.log(before / target) / np.log(before / after)
    return float(at[first - 1] + share * (at[first] - at[first - 1]))
