"""Reduction of run tables: first passage, the step-size rule, bands over seeds."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from layerwise.results.columns import SUMMARISED

VARIANT = ["method", "damping", "lr"]
CONTRACTION_FLOOR = 1e-9


def summarise(runs: pd.DataFrame, target: float | None) -> pd.DataFrame:
    """One row for each (problem, method, damping, lr, seed): the last recorded metrics and the status.

    Where the runs have the metrics, also of the subspace distance ``steps_to_target``, the first recorded
    step at which it is <= target (infinity if never), the averages over the steps
    ``mean_subspace_distance`` and ``mean_train_loss``, and ``contraction``, see :func:`_contraction`.
    """
    keys = ["problem", *VARIANT, "seed"]
    last = runs.loc[runs.groupby(keys, sort=False)["step"].idxmax()].set_index(keys)
    if "subspace_distance" in runs:
        reached = runs[runs["subspace_distance"] <= target].groupby(keys)["step"].min()
        last["steps_to_target"] = reached.reindex(last.index).astype(float).fillna(np.inf)
    functions = {
        "mean_subspace_distance": _mean_over_steps,
        "mean_train_loss": _mean_over_steps,
        "contraction": _contraction,
    }
    for name, function in functions.items():
        if SUMMARISED[name] in runs:
            last[name] = _per_run(runs, SUMMARISED[name], function)
    return last.reset_index()


def _per_run(
    runs: pd.DataFrame, metric: str, function: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> pd.Series:
    """function(steps, values) of each run. It takes all runs of as many recorded steps, (runs, steps)."""
    groups = runs.groupby(["problem", *VARIANT, "seed"], sort=False)
    sizes, number = groups.size(), groups.ngroup().to_numpy()
    order = np.argsort(number, kind="stable")  # a run's rows together, in their order
    steps, values = (runs[name].to_numpy()[order] for name in ("step", metric))
    found = pd.Series(np.nan, index=sizes.index)
    of_row = sizes.to_numpy()[number[order]]
    for size in np.unique(sizes):
        rows = of_row == size
        by_run = [column[rows].reshape(-1, size) for column in (steps, values)]
        found[(sizes == size).to_numpy()] = function(*by_run)
    return found


def _mean_over_steps(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Time average by the trapezoidal rule, since recorded steps need not be equally spaced."""
    length = np.maximum(steps[:, -1] - steps[:, 0], 1)
    return np.asarray(np.trapezoid(values, steps, axis=1) / length)


def _contraction(steps: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Late contraction a step of |G (I - G*^T G*)|: the geometric mean over the second half of the
    steps before it falls below CONTRACTION_FLOOR of its start, where round-off would show."""
    valid = norms > CONTRACTION_FLOOR * norms[:, :1]
    found = np.full(len(norms), np.nan)
    (known,) = np.nonzero(valid.sum(axis=1) >= 2)
    last = norms.shape[1] - 1 - valid[known, ::-1].argmax(axis=1)
    half = steps[known, last] // 2
    first = (steps[known] <= half[:, None]).sum(axis=1) - 1
    ratio = norms[known, last] / norms[known, first]
    found[known] = ratio ** (1 / (steps[known, last] - steps[known, first]))
    return found


def score_variants(summary: pd.DataFrame, select_by: str) -> pd.DataFrame:
    """One row for each (problem, method, damping, lr): ``score``, the median over seeds of
    ``select_by``, and ``final``, the median of the last subspace distance (or of ``select_by`` where
    there is none); both are infinite when any seed diverged."""
    final = "subspace_distance" if "subspace_distance" in summary else select_by
    groups = summary.assign(diverged=summary["status"] != "ok").groupby(
        ["problem", *VARIANT], sort=False
    )
    scores = groups.agg(
        score=(select_by, "median"),
        final=(final, "median"),
        diverged_seeds=("diverged", "sum"),
        seeds=("seed", "size"),
    ).reset_index()
    scores.loc[scores["diverged_seeds"] > 0, ["score", "final"]] = np.inf
    return scores


def select(scores: pd.DataFrame) -> pd.DataFrame:
    """The rule: for each (problem, method) the variant with the smallest score.

    Ties go to the smaller median final value, then to fewer diverged seeds, then to the
    smaller step size. ``lr_at_edge`` and ``damping_at_edge`` tell that the choice is an end of a grid
    of several values, so that a wider grid might do better.
    """
    order = ["score", "final", "diverged_seeds", "lr", "damping"]
    by = ["problem", "method"]
    chosen = scores.sort_values(order, kind="stable").drop_duplicates(by).sort_index()
    for axis in ("lr", "damping"):
        limits = scores.groupby(by)[axis].agg(["min", "max"])
        low, high = limits.loc[pd.MultiIndex.from_frame(chosen[by])].to_numpy().T
        at_edge = (chosen[axis] == low) | (chosen[axis] == high)
        chosen[f"{axis}_at_edge"] = at_edge & (low < high)
    return chosen.reset_index(drop=True)


def chosen_runs(table: pd.DataFrame, selection: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``table`` that belong to the selected variants."""
    return table.merge(selection[["problem", *VARIANT]], on=["problem", *VARIANT])


def width(lrs: np.ndarray, scores: np.ndarray, factor: float = 2.0) -> float:
    """Decades from the smallest to the largest of the successive step sizes around the best one (lrs
    ascending) whose scores are within ``factor`` of its."""
    low, high = around_best(scores, factor)
    return float(np.log10(lrs[high] / lrs[low]))


def around_best(scores: np.ndarray, factor: float) -> tuple[int, int]:
    """First and last place of the run of scores around the smallest that are within ``factor`` of it."""
    best = int(scores.argmin())
    far = np.flatnonzero(~(scores <= factor * scores[best]))
    low, high = far[far < best].max(initial=-1) + 1, far[far > best].min(initial=len(scores)) - 1
    return int(low), int(high)


def bands(table: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Median and quartiles over seeds: columns ``by``, median, low, high.

    Infinity counts as larger than any number, and NaN (a diverged run) as infinity: a band never
    averages failures away.
    """
    filled = table.assign(**{value: table[value].fillna(np.inf)})
    groups = filled.groupby(by, sort=False)[value]
    quantiles = {
        name: groups.quantile(q, interpolation="lower" if q < 0.5 else "higher")
        for name, q in (("low", 0.25), ("median", 0.5), ("high", 0.75))
    }
    return pd.DataFrame(quantiles).reset_index()


def interpolated_quantile(values: np.ndarray, q: float) -> float:
    """The quantile by linear interpolation between order statistics, as usual; NaN counts as infinity.

    Between a finite and an infinite value it is infinite, unless the place falls on the finite one.
    """
    ordered = np.sort(np.where(np.isnan(values), np.inf, values))
    place = (len(ordered) - 1) * q
    below = int(np.floor(place + 1e-12))
    share = max(place - below, 0.0)
    if share <= 1e-12:
        return float(ordered[below])
    first, second = ordered[below : below + 2]
    return float(first + share * (second - first)) if np.isfinite(second) else float(np.inf)


def quartiles(table: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Median and quartiles over seeds, interpolated: columns ``by``, median, low, high."""
    groups = table.groupby(by, sort=False)[value]
    places = {"low": 0.25, "median": 0.5, "high": 0.75}

    def of(group: pd.Series) -> pd.Series:
        values = group.to_numpy(dtype=float)
        return pd.Series({name: interpolated_quantile(values, q) for name, q in places.items()})

    return groups.apply(of).unstack()[list(places)].reset_index()


def decades_within(lrs: np.ndarray, distances: np.ndarray, bound: float) -> float:
    """Decades of step sizes (lrs ascending) at which the distance is at most ``bound``, all stretches
    together; its log is linear in log lr between the grid's values.

    Next to a step size that diverges, infinite or NaN, nothing can be interpolated and the stretch ends
    at the grid's last good value. One that reaches the grid's end is cut off there.
    """
    with np.errstate(divide="ignore"):
        x, y = np.log10(lrs), np.log(distances) - np.log(bound)
    total = 0.0
    for step, left, right in zip(np.diff(x), y[:-1], y[1:], strict=True):
        if not (np.isfinite(left) and np.isfinite(right)):
            continue
        if left <= 0 and right <= 0:
            total += step
        elif left <= 0 or right <= 0:
            total += step * min(left, right) / (min(left, right) - max(left, right))
    return float(total)


def diverged_lines(table: pd.DataFrame) -> list[str]:
    """A line for each choice of step size and damping of a run's table with which a seed diverged."""
    failed = table[table["status"] != "ok"].drop_duplicates(["damping", "lr", "seed"])
    seeds = table["seed"].nunique()
    return [
        f"diverged: lr = {lr:g}, damping = {damping:g}, {len(rows)} of {seeds} seeds, the first at step "
        f"{rows['diverged_at'].min()}"
        for (damping, lr), rows in failed.groupby(["damping", "lr"], sort=False)
    ]
