"""The rows that the claims beyond the paper's two models are judged on: a row a seed, a column a method."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from layerwise.claims.claim import Results
from layerwise.claims.interval import Statistic, Values
from layerwise.claims.statistics import by_seed, rows_of, selected

# Added to errors before their logarithm: far below it no difference is of interest.
FLOOR = 0.001
# The median error above which a method has not learnt at kappa_x = 1.
LEARNT = 0.05


def gaps(experiment: str, *methods: str, **where: object) -> Values:
    """Decades between a method's test errors at kappa_x = 1000 and at 1; a diverged run's is infinite.
    NaN for a method that has not learnt at kappa_x = 1: no claim is about it."""

    def values(results: Results) -> pd.DataFrame:
        table = selected(results, experiment)
        large, small = (
            _errors(rows_of(table, kappa_x=kappa_x, **where), methods) for kappa_x in (1000, 1)
        )
        learnt = small.median() < LEARNT
        return (_log10(large) - _log10(small)).where(learnt, np.nan, axis=1)

    return values


def log_errors(experiment: str, *methods: str, **where: object) -> Values:
    """log10 of the test errors on one problem."""

    def values(results: Results) -> pd.DataFrame:
        return _log10(_errors(rows_of(selected(results, experiment), **where), methods))

    return values


def _log10(errors: pd.DataFrame) -> pd.DataFrame:
    return (errors + FLOOR).transform(np.log10)


def _errors(table: pd.DataFrame, methods: tuple[str, ...]) -> pd.DataFrame:
    rows = pd.concat([rows_of(table, method=method) for method in methods])
    return by_seed(rows, "test_error", "method")[list(methods)]


def median(name: Hashable) -> Statistic:
    """Median over seeds of a column."""
    return lambda rows: float(np.median(rows[name].to_numpy(dtype=float)))


def median_difference(first: Hashable, second: Hashable) -> Statistic:
    """Median over seeds of first less second; NaN where a seed has infinity in both."""

    def statistic(rows: pd.DataFrame) -> float:
        pair = (rows[name].to_numpy(dtype=float) for name in (first, second))
        return float(np.median(np.subtract(*pair)))

    return statistic
