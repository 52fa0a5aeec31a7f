"""Numbers for each seed from the tables."""

import numpy as np
import pandas as pd

from layerwise.claims.claim import NotMeasuredError, NotRunError, Results
from layerwise.results.selection import chosen_runs


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
