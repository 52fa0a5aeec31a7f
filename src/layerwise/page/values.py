"""Values by seed as JSON: of each run at its end, and along it.

A run is a method with a damping and a step size on a problem, with all its seeds. What a diverged seed
lacks is infinite; what is undefined is null.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerwise.results.descriptions import metric

RUN = ["problem", "method", "damping", "lr"]
DIGITS = 4
# Values of traces that an experiment may bring; where it has more, places along its runs are left out.
TRACE_VALUES = 120_000


@dataclass(frozen=True)
class Runs:
    """What numbers stand for in the entries."""

    problems: Sequence[str]
    methods: Sequence[str]
    seeds: Sequence[int]

    def numbered(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Of each row the number of its run and of its seed; and an entry's head for each run."""
        groups = table.groupby(RUN, sort=False, dropna=False)
        heads = [
            {
                "p": self.problems.index(str(row["problem"])),
                "m": self.methods.index(str(row["method"])),
                "d": _number(row["damping"]),
                "l": _number(row["lr"]),
            }
            for row in table.loc[~table.duplicated(RUN), RUN].to_dict("records")
        ]
        return groups.ngroup().to_numpy(), np.searchsorted(self.seeds, table["seed"]), heads


def final_entries(
    table: pd.DataFrame, metrics: Sequence[str], runs: Runs, selection: pd.DataFrame
) -> list[str]:
    """An entry for each run: its head, whether it is selected (s) and at the edge of a grid (e), how
    many seeds diverged (n), and the values of each metric by seed (y)."""
    run, seed, heads = runs.numbered(table)
    values = np.full((len(heads), len(metrics), len(runs.seeds)), np.nan)
    for place, name in enumerate(metrics):
        values[run, place, seed] = _measured(table, name)
    diverged = np.bincount(run[_diverged(table)], minlength=len(heads))
    edges = {
        (row["problem"], row["method"], row["damping"], row["lr"]): row["lr_at_edge"]
        or row["damping_at_edge"]
        for row in selection.to_dict("records")
    }
    keys = table.loc[~table.duplicated(RUN), RUN].itertuples(index=False, name=None)
    entries = []
    for head, key, lost, own in zip(heads, keys, diverged, values, strict=True):
        more = {"s": int(key in edges), "e": int(edges.get(key, False)), "n": int(lost)}
        entries.append(_entry(head | more, [_numbers(line) for line in own]))
    return entries


def trace_entries(
    table: pd.DataFrame, along: str | None, metrics: Sequence[str], runs: Runs
) -> tuple[list[str], list[int]]:
    """An entry for each run: its head, the places along it (t), and of each metric the values along it
    by seed (y). And how many places of how many are kept; a run's own last one always is."""
    if along is None or not metrics:
        return [], []
    places = sorted(table[along].unique())
    size = table.groupby(RUN, dropna=False).ngroups * len(runs.seeds) * len(metrics)
    kept = thinned(places, max(8, TRACE_VALUES // size))
    last = table.groupby(RUN, dropna=False)[along].transform("max")
    table = table[table[along].isin(kept) | (table[along] == last)]
    run, seed, heads = runs.numbered(table)
    at = np.searchsorted(places, table[along])
    there = np.zeros((len(heads), len(places)), dtype=bool)
    there[run, at] = True
    values = np.full((len(heads), len(metrics), len(runs.seeds), len(places)), np.nan)
    for place, name in enumerate(metrics):
        values[run, place, seed, at] = _measured(table, name)
    entries = []
    for head, mask, own in zip(heads, there, values, strict=True):
        head["t"] = [int(places[place]) for place in np.flatnonzero(mask)]
        lines = ["[" + ",".join(_numbers(line[mask]) for line in by_seed) + "]" for by_seed in own]
        entries.append(_entry(head, lines))
    return entries, [len(kept), len(places)]


def thinned(places: Sequence[int], most: int) -> list[int]:
    """At most ``most`` places, about equally far apart on a logarithmic axis, both ends among them."""
    if len(places) <= most:
        return list(places)
    at = np.log1p(np.asarray(places, dtype=float) - places[0])
    wanted = np.linspace(at[0], at[-1], most)
    return sorted({places[int(np.abs(at - place).argmin())] for place in wanted})


def _diverged(table: pd.DataFrame) -> np.ndarray:
    """Which rows are of a seed that diverged."""
    if "status" not in table:
        return np.zeros(len(table), dtype=bool)
    return table["status"].ne("ok").to_numpy(dtype=bool)


def _measured(table: pd.DataFrame, name: str) -> np.ndarray:
    """A metric's values as readers are shown them, infinite where a diverged seed has none."""
    values = table[name].to_numpy(dtype=float)
    values = 1 - values if metric(name).from_one else values
    return np.where(np.isnan(values) & _diverged(table), np.inf, values)


def _entry(head: dict[str, Any], values: Sequence[str]) -> str:
    return f'{json.dumps(head)[:-1]},"y":[{",".join(values)}]}}'


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _numbers(values: Iterable[float]) -> str:
    """JSON has no infinity, but reads a number that is too large as one."""
    return f"[{','.join(map(_text, values))}]"


def _text(value: float) -> str:
    if math.isnan(value):
        return "null"
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return f"{value:.{DIGITS}g}"
