"""Whether measurements follow a formula. Rows are errors, measured less predicted: a row a seed, a column
for each setting."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from layerwise.claims.claim import RESAMPLES
from layerwise.claims.interval import Statistic
from layerwise.data.streams import generator


def rms_error(rows: pd.DataFrame) -> float:
    """Root mean square, over settings, of the mean error over seeds."""
    return float(np.sqrt(np.mean(rows.to_numpy(dtype=float).mean(axis=0) ** 2)))


def largest_error(rows: pd.DataFrame) -> float:
    """Largest over settings of |mean error over seeds|."""
    return float(np.abs(rows.to_numpy(dtype=float).mean(axis=0)).max())


def fall_of_rms_error(small: Hashable, large: Hashable) -> Statistic:
    """The root mean square error at one size less that at another: columns (size, setting)."""

    def statistic(rows: pd.DataFrame) -> float:
        return rms_error(pd.DataFrame(rows[small])) - rms_error(pd.DataFrame(rows[large]))

    return statistic


def studentised_maximum(errors: np.ndarray, centre: np.ndarray | float = 0.0) -> float:
    """Largest over settings of |mean error - centre| in standard errors: errors (seeds, settings). A
    setting whose seeds all agree counts only if it is off by more than rounding, and is infinite then."""
    off = np.abs(errors.mean(axis=0) - centre)
    spread = errors.std(axis=0, ddof=1) / np.sqrt(len(errors))
    exact = spread <= 1e-12
    sizes = np.divide(off, spread, out=np.zeros_like(off), where=~exact)
    sizes[exact & (off > 1e-9)] = np.inf
    return float(sizes.max())


def p_value(rows: pd.DataFrame) -> float:
    """How often chance alone gives a studentised maximum as large as the one seen.

    Seeds are resampled, and each resample is studentised about the means of the sample, so that the
    formula holds in it exactly. (The plain bootstrap of a maximum lies above its value, since each
    resample adds its own noise to every setting.) NaN where an error is not finite.
    """
    errors = rows.to_numpy(dtype=float)
    if not np.isfinite(errors).all():
        return float(np.nan)
    seen, means = studentised_maximum(errors), errors.mean(axis=0)
    rng = generator("claims bootstrap", 0)
    picks = rng.integers(0, len(errors), size=(RESAMPLES, len(errors)))
    drawn = np.array([studentised_maximum(errors[pick], means) for pick in picks])
    return float((1 + np.sum(drawn >= seen)) / (1 + RESAMPLES))
