"""The rule that selects step sizes and dampings, and bands over seeds. No torch."""

import numpy as np
import pandas as pd

from layerwise.results.columns import CHOICE_KEYS

# The share of tuning runs that may diverge with a choice that is selected: they count as infinite.
MAY_DIVERGE = 0.05
# How much worse, relatively, the next value of a grid may be for its end to be no edge.
FLAT = 0.01
VARIANT = ["method", "damping", "lr"]
# Ties go to the smaller median final value, then to fewer diverged seeds, then to the smaller step size.
ORDER = ["score", "final", "diverged_seeds", "lr", "damping"]


def score_variants(summary: pd.DataFrame, select_by: str) -> pd.DataFrame:
    """One row for each (problem, method, damping, lr): ``score``, the median over seeds of
    ``select_by``, and ``final``, the median of the last subspace distance (or of ``select_by`` where
    there is none). Runs that diverged count as infinite; where more than MAY_DIVERGE of them did, both
    are infinite."""
    final = "subspace_distance" if "subspace_distance" in summary else select_by
    diverged = summary["status"] != "ok"
    counted = summary.assign(
        diverged=diverged,
        **{name: summary[name].mask(diverged).fillna(np.inf) for name in {select_by, final}},
    )
    scores = (
        counted.groupby(list(CHOICE_KEYS), sort=False)
        .agg(
            score=(select_by, "median"),
            final=(final, "median"),
            diverged_seeds=("diverged", "sum"),
            seeds=("seed", "size"),
        )
        .reset_index()
    )
    refused = scores["diverged_seeds"] > MAY_DIVERGE * scores["seeds"]
    scores.loc[refused, ["score", "final"]] = np.inf
    return scores


def best(scores: pd.DataFrame) -> pd.Series:
    """The variant of one problem and method that the rule selects."""
    return scores.sort_values(ORDER, kind="stable").iloc[0]


def select(scores: pd.DataFrame) -> pd.DataFrame:
    """The rule: for each (problem, method) the variant with the smallest score.

    Ties go by ORDER. ``lr_at_edge`` and ``damping_at_edge`` tell that the choice is an end of a grid
    of several values towards which the score still falls, so that a wider grid might do better.
    """
    by = ["problem", "method"]
    chosen = scores.sort_values(ORDER, kind="stable").drop_duplicates(by).sort_index()
    tried = dict(list(scores.groupby(by)))
    for axis, other in (("lr", "damping"), ("damping", "lr")):
        chosen[f"{axis}_at_edge"] = [
            _at_edge(best, tried[best["problem"], best["method"]], axis, other)
            for _, best in chosen.iterrows()
        ]
    return chosen.reset_index(drop=True)


def _at_edge(best: pd.Series, tried: pd.DataFrame, axis: str, other: str) -> bool:
    """Whether the best of the variants that were ``tried`` is an end of its axis, and the next one inwards
    is not as good to FLAT, with the same value on the ``other`` or the nearest that both were tried with.
    Nothing lies beyond no damping at all."""
    low, high = tried[axis].min(), tried[axis].max()
    if low == high or not (best[axis] == high or best[axis] == low > 0):
        return False
    inwards = tried.loc[tried[axis] != best[axis], axis]
    nearest = inwards.min() if best[axis] == low else inwards.max()
    scores = tried.set_index([axis, other])["score"].unstack(axis)[[best[axis], nearest]].dropna()
    if scores.empty:
        return True
    here, beside = scores.iloc[abs(scores.index - best[other]).argmin()]
    return not beside <= (1 + FLAT) * here


def chosen_runs(table: pd.DataFrame, selection: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``table`` that belong to the selected variants."""
    return table.merge(selection[list(CHOICE_KEYS)], on=list(CHOICE_KEYS))


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


def bands(table: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Median and quartiles over seeds, interpolated as usual: columns ``by``, median, low, high.

    Infinity counts as larger than any number, and NaN (a diverged run) as infinity: a band never averages
    failures away.
    """
    places = {"low": 0.25, "median": 0.5, "high": 0.75}
    if table.empty:  # pandas has no columns for what is nowhere
        return table[by].assign(**dict.fromkeys(places, np.nan))
    groups = table.groupby(by, sort=False)[value]

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
