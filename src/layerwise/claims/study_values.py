"""The rows that the study's claims are judged on: a row a seed, columns named by what they hold."""

import numpy as np
import pandas as pd

from layerwise.claims import columns as of
from layerwise.claims.choices import shares_within
from layerwise.claims.claim import NotMeasuredError, Results
from layerwise.claims.interval import Values
from layerwise.claims.matched import matched
from layerwise.claims.statistics import by_seed, rows_of, selected, table_of

STUDY = "condition_study"


def near(table: pd.DataFrame, **where: float) -> pd.DataFrame:
    """The rows whose numbers are within 6 % of those given, as a log-spaced grid has them. Raises
    NotMeasuredError where there are none."""
    for key, value in where.items():
        table = table[np.isclose(table[key].to_numpy(dtype=float), value, rtol=0.06)]
    if table.empty:
        raise NotMeasuredError(f"no rows near {where}")
    return table


def choices(results: Results, experiment: str, method: str, lr: float | None) -> pd.DataFrame:
    """A method's runs at a step size, or at the selected one."""
    if lr is None:
        return rows_of(selected(results, experiment), method=method)
    return near(rows_of(table_of(results, experiment, "summary"), method=method), lr=lr)


def iterations(
    method: str, key: str, experiment: str = STUDY, lr: float | None = None, other: float = 1.0
) -> Values:
    """Iterations to the target along a condition number, the other one fixed: a column for each value."""
    fixed = {"kappa_x": "kappa_f", "kappa_f": "kappa_x"}[key]

    def values(results: Results) -> pd.DataFrame:
        table = near(choices(results, experiment, method, lr), **{fixed: other})
        return by_seed(table, of.ITERATIONS, key)

    return values


def late_iterations(method: str, lr: float) -> Values:
    """T(half the target) - T(target) along kappa_F, at 1, sqrt(10) and 10."""

    def values(results: Results) -> pd.DataFrame:
        table = near(choices(results, STUDY, method, lr), kappa_x=1)
        late = table[of.ITERATIONS_HALF] - table[of.ITERATIONS]
        wide = by_seed(table.assign(late=late), "late", "kappa_f")
        kept = [np.isclose(wide.columns, value, rtol=0.06) for value in (1, np.sqrt(10), 10)]
        if not all(one.any() for one in kept):
            raise NotMeasuredError("kappa_f = 1, sqrt(10), 10")
        return pd.DataFrame(wide.loc[:, np.any(kept, axis=0)])

    return values


def growth(*methods: str) -> Values:
    """T(kappa_x = 100) / T(kappa_x = 1) of each method."""

    def values(results: Results) -> pd.DataFrame:
        found = {}
        for method in methods:
            table = near(choices(results, STUDY, method, None), kappa_f=1)
            ends = [
                near(table, kappa_x=k).set_index("seed")[of.ITERATIONS].fillna(np.inf)
                for k in (100, 1)
            ]
            found[method] = ends[0] / ends[1]
        return pd.DataFrame(found)

    return values


def at_one_problem(*methods: str, lr: float, kappa_x: float, kappa_f: float) -> Values:
    """Iterations of methods at one step size on one problem: a column for each method."""

    def values(results: Results) -> pd.DataFrame:
        tables = [choices(results, STUDY, method, lr) for method in methods]
        table = near(pd.concat(tables), kappa_x=kappa_x, kappa_f=kappa_f)
        return by_seed(table, of.ITERATIONS, "method")

    return values


def contraction_ratios(method: str, **where: float) -> Values:
    """(1 - contraction) over the theory's, for each problem and step size; where some are stable without
    those with which a run diverges, and so has no contraction."""

    def values(results: Results) -> pd.DataFrame:
        table = rows_of(table_of(results, "contraction", "summary"), method=method)
        table = near(table, **where) if where else table
        keys = ["kappa_x", "kappa_f", "lr"]
        stable = table["status"].eq("ok").groupby([table[key] for key in keys]).transform("all")
        table = table[stable] if stable.any() else table
        ratio = (1 - table[of.CONTRACTION]) / (1 - table[of.CONTRACTION_THEORY])
        return by_seed(table.assign(ratio=ratio), "ratio", keys)

    return values


def contraction_errors(results: Results) -> pd.DataFrame:
    """KFAC's contraction less 1 - eta, for each problem and step size."""
    table = rows_of(table_of(results, "contraction", "summary"), method="kfac")
    error = table[of.CONTRACTION] - (1 - table["lr"])
    return by_seed(table.assign(error=error), "error", ["kappa_x", "kappa_f", "lr"])


def alignment_errors(results: Results) -> pd.DataFrame:
    """Measured less predicted alignment: columns (d, setting)."""
    table = table_of(results, "one_step_alignment", "runs")
    table = table.drop_duplicates(["problem", "method", "damping", "seed"])
    error = table["alignment_direction"] - table["alignment_theory"]
    keys = ["d", "aspect_ratio", "kappa_x", "spectrum", "link", "method", "damping"]
    return by_seed(table.assign(error=error), "error", keys)


def alignment_errors_at_largest(results: Results) -> pd.DataFrame:
    """:func:`alignment_errors` at the largest dimension."""
    rows = alignment_errors(results)
    return pd.DataFrame(rows[rows.columns.get_level_values("d").max()])


def alignment_gains(**where: float) -> Values:
    """KFAC at its best damping less SGD: a column for each setting."""

    def values(results: Results) -> pd.DataFrame:
        table = near(table_of(results, "one_step_alignment", "runs"), **where)
        table = rows_of(table, **{of.AT_BEST_DAMPING: True})
        table = table.drop_duplicates(["problem", "method", "damping", "seed"])
        keys = ["d", "aspect_ratio", "kappa_x", "spectrum", "link"]
        pair = [
            by_seed(rows_of(table, method=name), "alignment_direction", keys)
            for name in ("kfac", "sgd")
        ]
        return pair[0] - pair[1]

    return values


def biases(method: str, kappa_x: float) -> Values:
    """The update's cosine with the part of Sigma beta orthogonal to beta, the mean over links."""

    def values(results: Results) -> pd.DataFrame:
        table = near(table_of(results, "spike", "runs"), kappa_x=kappa_x)
        table = rows_of(table, method=method, step=1, **{of.AT_BEST_DAMPING: True})
        return table.groupby("seed")[[of.COSINE_BIAS]].mean()

    return values


def metric_of_selected(
    experiment: str, metric: str, columns: str | list[str], **where: object
) -> Values:
    """A metric of the selected choices: columns by one or more settings."""

    def values(results: Results) -> pd.DataFrame:
        table = rows_of(selected(results, experiment), **where)
        return by_seed(table, metric, columns)

    return values


def transfer_at_the_end(results: Results) -> pd.DataFrame:
    """The population's transfer loss after the most steps: a column for each method."""
    table = selected(results, "transfer")
    table = table[table["steps"] == table["steps"].max()]
    return by_seed(table, "transfer_loss_population", "method")


def distances_and_losses(results: Results) -> pd.DataFrame:
    """Of the selected choices in the strong regime: columns (metric, method)."""
    table = rows_of(selected(results, "head_to_head"), regime="strong")
    metrics = (of.DISTANCE, "transfer_loss")
    return pd.concat({name: by_seed(table, name, "method") for name in metrics}, axis=1)


def distances_over_step_sizes(results: Results) -> pd.DataFrame:
    """In the mild regime, where all methods learn: columns (method, step size)."""
    table = rows_of(table_of(results, "step_size", "summary"), regime="mild")
    return by_seed(table, of.DISTANCE, ["method", "lr"])


def shares_of_choices(bound: float) -> Values:
    """The share of step sizes, dampings and batch sizes that end within a distance: a column a method."""

    def values(results: Results) -> pd.DataFrame:
        return shares_within(table_of(results, "second_order", "summary"), of.DISTANCE, bound)

    return values


def floors_over_theory(results: Results) -> pd.DataFrame:
    """KFAC's last distance at eta = 0.1 over its closed form, for each batch size of 300 or more."""
    table = choices(results, "sample_size", "kfac", lr=0.1)
    table = table[table["batch_size"] >= 300]
    if table.empty:
        raise NotMeasuredError("no batch size of 300 or more")
    ratio = table[of.DISTANCE] / table[of.FLOOR_THEORY]
    return by_seed(table.assign(ratio=ratio), "ratio", "batch_size")


def matched_ratios(metric: str) -> Values:
    """With batch-norm over without, at equal training loss: a column for each variant and problem whose
    losses meet with every seed."""

    def values(results: Results) -> pd.DataFrame:
        traces = table_of(results, "batch_norm", "traces")
        table = matched(traces)
        met = table.groupby("variant")["seed"].transform("size") == traces["seed"].nunique()
        table = table[met]
        if table.empty:
            raise NotMeasuredError("no variant whose training losses meet with every seed")
        return table.pivot(index="seed", columns="variant", values=metric)

    return values
