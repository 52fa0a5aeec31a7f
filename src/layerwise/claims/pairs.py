"""Statistics of two things measured on the same seeds. Columns are named, a row is a seed."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from layerwise.claims.claim import Estimate
from layerwise.claims.interval import Statistic

Name = Hashable  # of a column


def log_ratios(rows: pd.DataFrame, first: Name, second: Name) -> np.ndarray:
    """log(first / second) of each seed; NaN where both are infinite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(_column(rows, first)) - np.log(_column(rows, second))


def ratio(first: Name, second: Name) -> Statistic:
    """The geometric mean over seeds of first / second: exp of the mean log ratio. A seed in which neither
    is finite has no ratio, and makes it NaN."""

    def statistic(rows: pd.DataFrame) -> float:
        return float(np.exp(np.mean(log_ratios(rows, first, second))))

    return statistic


def difference(first: Name, second: Name) -> Statistic:
    """Mean over seeds of first less second."""

    def statistic(rows: pd.DataFrame) -> float:
        return float(np.mean(_column(rows, first) - _column(rows, second)))

    return statistic


def mean(name: Name) -> Statistic:
    """Mean over seeds of a column."""

    def statistic(rows: pd.DataFrame) -> float:
        return float(np.mean(_column(rows, name)))

    return statistic


def smallest_mean(rows: pd.DataFrame) -> float:
    """The smallest over the columns of the mean over seeds."""
    return float(rows.to_numpy(dtype=float).mean(axis=0).min())


def mean_of_all(rows: pd.DataFrame) -> float:
    """The mean over columns and seeds."""
    return float(rows.to_numpy(dtype=float).mean())


def largest_geometric_mean(rows: pd.DataFrame) -> float:
    """The largest over the columns of the geometric mean over seeds, for rows of ratios; NaN where one is
    not finite, as of runs that diverged."""
    ratios = rows.to_numpy(dtype=float)
    if not np.isfinite(ratios).all():
        return float(np.nan)
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(ratios).mean(axis=0).max()))


def share_of_gap(method: Name, low: Name = "sgd", high: Name = "kfac") -> Statistic:
    """How much of the way from one method's mean to another's a third one's goes: 0 at ``low``, 1 at
    ``high``; NaN without a gap."""

    def statistic(rows: pd.DataFrame) -> float:
        start, end = np.mean(_column(rows, low)), np.mean(_column(rows, high))
        if start == end:
            return float(np.nan)
        return float((np.mean(_column(rows, method)) - start) / (end - start))

    return statistic


def equivalence(rows: pd.DataFrame, first: Name, second: Name) -> Estimate:
    """The mean log ratio with 1.96 standard errors to each side: equivalent where all of it lies within
    a bound on both sides. Infinite or NaN ratios make it NaN."""
    logs = log_ratios(rows, first, second)
    centre = float(np.mean(logs))
    if not np.isfinite(centre):
        return Estimate(np.nan, np.nan, np.nan, len(logs))
    reach = 1.96 * float(np.std(logs, ddof=1)) / np.sqrt(len(logs))
    return Estimate(centre, centre - reach, centre + reach, len(logs))


def not_equivalent(first: str, second: str, within: float = 0.1) -> Statistic:
    """For how many methods :func:`equivalence` of two settings is not shown: rows have columns (method,
    setting)."""

    def statistic(rows: pd.DataFrame) -> float:
        methods = rows.columns.get_level_values(0).unique()
        found = [equivalence(rows, (name, first), (name, second)) for name in methods]
        return float(sum(not (-within <= one.low and one.high <= within) for one in found))

    return statistic


def _column(rows: pd.DataFrame, name: Name) -> np.ndarray:
    return rows[name].to_numpy(dtype=float)
