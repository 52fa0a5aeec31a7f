"""Bootstrap intervals over seeds that contain what they are of.

Rows are a table with a row a seed and named columns; seeds are resampled, so that what shares a seed
stays paired.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from layerwise.claims.claim import COVERAGE, RESAMPLES, Estimate, Results
from layerwise.data.streams import generator

Values = Callable[[Results], pd.DataFrame]
Statistic = Callable[[pd.DataFrame], float]


def resamples(rows: pd.DataFrame, statistic: Statistic, count: int = RESAMPLES) -> np.ndarray:
    """The statistic on ``count`` tables of seeds drawn with replacement."""
    rng = generator("claims bootstrap", 0)
    picks = rng.integers(0, len(rows), size=(count, len(rows)))
    # Few seeds are drawn alike many times.
    distinct, place = np.unique(picks, axis=0, return_inverse=True)
    with np.errstate(invalid="ignore"):  # of runs that diverged, infinity less infinity
        values = np.array([statistic(rows.take(pick)) for pick in distinct])
    return values[place]


def recentred(value: float, drawn: np.ndarray) -> tuple[float, float]:
    """The percentile interval of the resampled values, shifted so that their median is the value.

    It contains the value whatever the resamples are. The plain percentile interval does not: each
    resample adds its own noise to a maximum or to a root mean square, and the interval lies above it;
    the basic and the accelerated intervals leave the value out in the same cases. Where the statistic
    is unbiased the shift is small.

    Quantiles are not interpolated, so that infinite values are ordered like others. An undefined
    resample (NaN) counts as the worst on either side. Where no finite shift exists the interval is the
    percentile interval, widened to contain the value. An undefined value has no interval, NaN.
    """
    if np.isnan(value):
        return np.nan, np.nan
    tail = (1 - COVERAGE) / 2
    low = np.quantile(np.where(np.isnan(drawn), -np.inf, drawn), tail, method="lower")
    high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), 1 - tail, method="higher")
    defined = drawn[~np.isnan(drawn)]
    middle = np.quantile(defined, 0.5, method="lower") if len(defined) else np.inf
    if np.isfinite(middle) and np.isfinite(value):
        low, high = low + (value - middle), high + (value - middle)
    return float(min(low, value)), float(max(high, value))


def shifted(value: float, drawn: np.ndarray) -> np.ndarray:
    """The resampled values as :func:`recentred` shifts their interval, to be shown with it."""
    defined = drawn[~np.isnan(drawn)]
    middle = np.quantile(defined, 0.5, method="lower") if len(defined) else np.inf
    return drawn + (value - middle) if np.isfinite(middle) and np.isfinite(value) else drawn


def over_seeds(values: Values, statistic: Statistic) -> Callable[[Results], Estimate]:
    """A part's measure: the statistic with its recentred interval."""

    def measure(results: Results) -> Estimate:
        rows = values(results)
        with np.errstate(invalid="ignore"):
            value = statistic(rows)
        drawn = resamples(rows, statistic)
        return Estimate(value, *recentred(value, drawn), len(rows), rows, shifted(value, drawn))

    return measure


def as_it_is(values: Values, statistic: Statistic) -> Callable[[Results], Estimate]:
    """A part's measure that already accounts for chance, as a p-value does: it has no interval."""

    def measure(results: Results) -> Estimate:
        rows = values(results)
        value = statistic(rows)
        return Estimate(value, value, value, len(rows), rows)

    return measure
