"""Numbers for each seed from the tables, and the statistics that claims reduce them to."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from layerwise.claims.claim import NotMeasuredError, NotRunError, Results
from layerwise.results.selection import chosen_runs

Values = Callable[[Results], pd.DataFrame]


def rows_of(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    """The rows with the given values. Raises NotMeasuredError where there are none."""
    for key, value in where.items():
        table = table[table[key] == value]
    if table.empty:
        raise NotMeasuredError(f"no rows with {where}")
    return table


def table_of(results: Results, experiment: str, name: str) -> pd.DataFrame:
    """A reduced table of an experiment. Raises NotRunError where that has none, NotMeasuredError where it
    has others."""
    if experiment not in results:
        raise NotRunError(f"no tables of {experiment}")
    try:
        return results[experiment][name]
    except KeyError:
        raise NotMeasuredError(f"no table {name} of {experiment}") from None


def selected(results: Results, experiment: str) -> pd.DataFrame:
    """The last values of each seed of the variants that the experiment's rule selects."""
    summary = table_of(results, experiment, "summary")
    return chosen_runs(summary, table_of(results, experiment, "selection"))


def by_seed(table: pd.DataFrame, metric: str, columns: str | list[str]) -> pd.DataFrame:
    """A metric with a row for each seed and a column for each setting; a diverged run's is infinite."""
    filled = table.assign(**{metric: table[metric].fillna(np.inf)})
    return filled.pivot(index="seed", columns=columns, values=metric)


def along(experiment: str, method: str, key: str, metric: str, **where: object) -> Values:
    """A method's metric along a key of the problem, in increasing order of the key."""

    def values(results: Results) -> pd.DataFrame:
        table = rows_of(selected(results, experiment), method=method, **where)
        if table[key].nunique() < 2:
            raise NotMeasuredError(f"one value of {key}")
        rows = by_seed(table, metric, key).sort_index(axis=1)
        return pd.concat([rows, pd.DataFrame({k: k for k in rows}, index=rows.index)], axis=1)

    return values


def log_slope(rows: np.ndarray) -> float:
    """Slope of log median against log of the key, for rows of :func:`along`; iterations below one count
    as one, and a median that is infinite makes it infinite."""
    metrics, keys = np.hsplit(rows, 2)
    medians = np.median(metrics, axis=0).clip(min=np.finfo(float).tiny)
    if np.isinf(medians).any():
        return float(np.inf)
    x = np.log(keys[0])
    return float((x - x.mean()) @ np.log(medians) / ((x - x.mean()) @ x))


def slope_to_reached(rows: np.ndarray) -> float:
    """As :func:`log_slope`, over the keys at which the median is finite; infinite where only the first
    is, and NaN where that says nothing."""
    metrics, keys = np.hsplit(rows, 2)
    reached = np.isfinite(np.median(metrics, axis=0))
    if reached.sum() < 2:
        return float(np.inf if reached[0] else np.nan)
    return log_slope(np.hstack([metrics[:, reached], keys[:, reached]]))


def paired(
    experiment: str, metric: str, first: dict[str, object], second: dict[str, object]
) -> Values:
    """A metric of the selected variants at two settings, each of one method on one problem."""

    def values(results: Results) -> pd.DataFrame:
        table = selected(results, experiment)
        pair = [rows_of(table, **where).set_index("seed")[metric] for where in (first, second)]
        return pd.concat(pair, axis=1).fillna(np.inf)

    return values


def ratio_of_medians(rows: np.ndarray) -> float:
    """Median of the first column over the median of the second; two infinite ones have none, NaN."""
    first, second = np.median(rows, axis=0)
    return float(first / second)


def collected(experiment: str, metric: str, columns: Sequence[str], **where: object) -> Values:
    """A metric of a collected table: a column for each setting."""

    def values(results: Results) -> pd.DataFrame:
        table = rows_of(table_of(results, experiment, "runs"), **where)
        return by_seed(table, metric, list(columns))

    return values


def median(rows: np.ndarray) -> float:
    """Median over seeds of the only column."""
    return float(np.median(rows[:, 0]))


def largest_error(rows: np.ndarray) -> float:
    """Largest over the columns of |mean over seeds|, for rows of differences."""
    return float(np.abs(rows.mean(axis=0)).max())


def difference_of_means(rows: np.ndarray) -> float:
    """Mean of the first column less the mean of the second."""
    first, second = rows.mean(axis=0)
    return float(first - second)
