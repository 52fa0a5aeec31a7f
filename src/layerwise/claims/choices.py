"""Statistics over step sizes, dampings and methods. Columns are named, a row is a seed."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from layerwise.claims.interval import Statistic
from layerwise.results.selection import decades_within


def width(method: str, bound: float) -> Statistic:
    """Decades of step sizes at which a method's median distance is at most ``bound``: columns (method,
    step size), infinite where a run diverged; see ``decades_within``."""

    def statistic(rows: pd.DataFrame) -> float:
        own = pd.DataFrame(rows[method]).sort_index(axis="columns")
        medians = np.median(own.to_numpy(dtype=float), axis=0)
        return decades_within(own.columns.to_numpy(dtype=float), medians, bound)

    return statistic


def difference_of_widths(first: str, second: str, bound: float) -> Statistic:
    """The width of one method less another's."""
    one, other = width(first, bound), width(second, bound)
    return lambda rows: one(rows) - other(rows)


def shares_within(table: pd.DataFrame, value: str, bound: float) -> pd.DataFrame:
    """The share of a method's choices that end with ``value`` at most ``bound``: a row a seed, a column a
    method, from a table with a row for each method, choice and seed. A diverged run's NaN is not within."""
    within = table.assign(within=table[value] <= bound)
    return within.groupby(["seed", "method"])["within"].mean().unstack("method")


def rank_correlation(
    first: Hashable, second: Hashable, at_most: float, fewest: int = 3
) -> Statistic:
    """Spearman's correlation over methods of the medians of two metrics: columns (metric, method). Only
    methods that have learnt count, whose first metric is at most ``at_most``; equal values share their
    rank. NaN for fewer than ``fewest`` methods, or if all of them tie."""

    def statistic(rows: pd.DataFrame) -> float:
        one, other = (pd.DataFrame(rows[metric]) for metric in (first, second))
        medians = np.median(one, axis=0), np.median(other[one.columns], axis=0)
        learnt = medians[0] <= at_most
        if learnt.sum() < fewest:
            return float(np.nan)
        ranks = [pd.Series(values[learnt]).rank().to_numpy() for values in medians]
        if min(np.ptp(rank) for rank in ranks) == 0:
            return float(np.nan)
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1])

    return statistic
