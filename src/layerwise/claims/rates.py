"""Statistics of iterations: exponents in a condition number, and how far they spread.

Rows have a row a seed and a column for each value of the condition number, named by it. A run that never
reached the target is infinite there, and is never dropped.
"""

import numpy as np
import pandas as pd

from layerwise.claims.claim import NotMeasuredError
from layerwise.claims.interval import Statistic

# Grids are rounded to three digits.
ROUNDING = 0.01


def exponent(low: float, high: float) -> Statistic:
    """Slope of log median iterations in log kappa, by least squares over the values from ``low`` to
    ``high``, both of which must be there.

    Infinite where a median beyond the first is infinite; NaN, undefined, where the first is.
    """

    def statistic(rows: pd.DataFrame) -> float:
        keys = rows.columns.to_numpy(dtype=float)
        inside = (keys >= low * (1 - ROUNDING)) & (keys <= high * (1 + ROUNDING))
        ends = [np.isclose(keys, end, rtol=ROUNDING).any() for end in (low, high)]
        if not all(ends):
            raise NotMeasuredError(f"no values at {low} and {high}")
        order = np.argsort(keys[inside])
        medians = np.median(rows.to_numpy(dtype=float)[:, inside], axis=0)[order]
        if not np.isfinite(medians).all():
            return float(np.inf if np.isfinite(medians[0]) else np.nan)
        x = np.log(keys[inside][order])
        return float((x - x.mean()) @ np.log(medians) / ((x - x.mean()) @ x))

    return statistic


def largest_over_smallest(rows: pd.DataFrame) -> float:
    """Of the columns' medians; NaN where one is infinite or not positive."""
    medians = np.median(rows.to_numpy(dtype=float), axis=0)
    if not (np.isfinite(medians).all() and (medians > 0).all()):
        return float(np.nan)
    return float(medians.max() / medians.min())


def largest_relative_error(rows: pd.DataFrame) -> float:
    """Largest over the columns of |median over seeds - 1|, for rows of measured over predicted."""
    return float(np.abs(np.median(rows.to_numpy(dtype=float), axis=0) - 1).max())
