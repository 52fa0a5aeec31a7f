"""An experiment's tables as the page carries them: values by seed of every choice, and traces.

Statistics over seeds are made in the browser, since ratios to a baseline are taken seed by seed.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.page.problems import Problems, metric_columns, problems_of
from layerwise.results.descriptions import ALONG, METRICS, Offer, default_view, metric
from layerwise.results.tables import read_table

RUN = ["problem", "method", "damping", "lr"]
DIGITS = 4
# Values of traces that an experiment may bring; where it has more, steps are left out.
TRACE_VALUES = 120_000


class Tables:
    """The tables of an experiment's folder, of either kind: reduced ones, or all rows collected."""

    def __init__(self, folder: Path, select_by: str | None) -> None:
        self.selection = pd.DataFrame()
        if (folder / "summary.parquet").exists():
            self.final = read_table(folder / "summary.parquet")
            self.traces = read_table(folder / "traces.parquet")
            self.selection = read_table(folder / "selection.parquet")
        else:
            self.traces = read_table(folder / "runs.parquet")
            self.final = self.traces
        self.select_by = select_by
        self.along = next((key for key in ALONG if self._extends(key)), None)
        if self.selection.empty and self.along:
            last = self.traces.groupby([*RUN, "seed"], dropna=False)[self.along].idxmax()
            self.final = self.traces.loc[last.sort_values()]

    def _extends(self, key: str) -> bool:
        """Whether a run has several rows along a column."""
        return key in self.traces and self.traces[key].nunique() > 1

    def metrics(self, table: pd.DataFrame) -> list[str]:
        """Those of a table that the page carries."""
        predictions = {description.predicted_by for description in METRICS.values()}
        return [
            name for name in metric_columns(table) if metric(name).listed or name in predictions
        ]

    @property
    def traced(self) -> list[str]:
        """The metrics that change along a run."""
        if self.along is None:
            return []
        groups = self.traces.groupby([*RUN, "seed"], dropna=False)
        names = self.metrics(self.traces)
        return [name for name in names if groups[name].nunique(dropna=False).max() > 1]


def experiment_json(folder: Path, select_by: str | None) -> str:
    """All that the page draws of an experiment, as JSON with numbers of DIGITS digits."""
    tables = Tables(folder, select_by)
    problems = problems_of(tables.final)
    seeds = sorted(tables.final["seed"].unique())
    methods = list(dict.fromkeys(tables.final["method"]))
    traced = tables.traced
    inner = traced if tables.along and tables.along != "step" else []
    metrics = [name for name in tables.metrics(tables.final) if name not in inner]
    lines, shares = _traces(tables, traced, problems, methods, seeds)
    head = {
        "axes": [axis.content for axis in problems.axes],
        "problems": problems.names,
        "places": problems.places,
        "crossed": problems.crossed,
        "fixed": problems.fixed,
        "methods": methods,
        "seeds": [int(seed) for seed in seeds],
        "metrics": metrics,
        "along": tables.along,
        "traced": traced,
        "left_out": shares,
        "by": _choosing(tables, metrics),
        "chosen": not tables.selection.empty,
        "budget": int(tables.traces["step"].max()) if "step" in tables.traces else None,
        "view": default_view(_offer(tables, problems, metrics, traced))._asdict(),
    }
    final = _finals(tables, metrics, problems, methods, seeds)
    body = json.dumps(head, ensure_ascii=False)[:-1]
    return f'{body},"final":[{",".join(final)}],"trace":[{",".join(lines)}]}}'


def _choosing(tables: Tables, metrics: Sequence[str]) -> str | None:
    """The metric by which the best of several step sizes or dampings is taken where none is selected."""
    if tables.select_by in metrics:
        return tables.select_by
    return next((name for name in metrics if metric(name).better == "smaller"), None)


def _offer(
    tables: Tables, problems: Problems, metrics: Sequence[str], traced: Sequence[str]
) -> Offer:
    along = tables.along
    return Offer(
        numeric={axis.key: len(axis.values) for axis in problems.axes if axis.numeric},
        named=[axis.key for axis in problems.axes if not axis.numeric],
        crossed=problems.crossed,
        step_sizes=int(tables.final.groupby("method")["lr"].nunique().max()),
        along=(along, int(tables.traces[along].nunique())) if along else None,
        final=[name for name in metrics if metric(name).listed],
        traced=traced,
        fixed=problems.fixed,
        select_by=tables.select_by,
    )


def _finals(
    tables: Tables, metrics: list[str], problems: Problems, methods: list[str], seeds: list[int]
) -> list[str]:
    """One entry for each problem, method, damping and step size."""
    chosen = {tuple(row[key] for key in RUN): row for row in tables.selection.to_dict("records")}
    entries = []
    for key, rows in tables.final.groupby(RUN, sort=False, dropna=False):
        problem, method, damping, lr = key
        row = chosen.get(key)
        rows = rows.drop_duplicates("seed").set_index("seed").reindex(seeds)
        lost = _lost(rows)
        head = {
            "p": problems.names.index(str(problem)),
            "m": methods.index(str(method)),
            "d": _number(damping),
            "l": _number(lr),
            "s": int(row is not None),
            "n": int(lost.sum()),
            "e": int(row is not None and bool(row["lr_at_edge"] or row["damping_at_edge"])),
        }
        values = ",".join(_numbers(_measured(rows, name, lost)) for name in metrics)
        entries.append(f'{json.dumps(head)[:-1]},"y":[{values}]}}')
    return entries


def _traces(
    tables: Tables, traced: list[str], problems: Problems, methods: list[str], seeds: list[int]
) -> tuple[list[str], list[int]]:
    """One entry for each run that has a trace; and how many of how many places along it are kept."""
    along = tables.along
    if along is None or not traced:
        return [], []
    groups = tables.traces.groupby(RUN, sort=False, dropna=False)
    places = sorted(tables.traces[along].unique())
    most = max(8, TRACE_VALUES // (groups.ngroups * len(seeds) * len(traced)))
    kept = set(thinned(places, most))
    entries = []
    for (problem, method, damping, lr), rows in groups:
        own = rows[rows[along].isin(kept) | (rows[along] == rows[along].max())]
        wide = own.set_index([along, "seed"]).unstack("seed")
        lost = wide["status"] if "status" in own else None
        head = {
            "p": problems.names.index(str(problem)),
            "m": methods.index(str(method)),
            "d": _number(damping),
            "l": _number(lr),
            "t": [int(place) for place in wide.index],
        }
        columns = []
        for name in traced:  # none of these is shown as one less it
            by_seed = wide[name].reindex(columns=seeds)
            values = by_seed.to_numpy(dtype=float)
            if lost is not None:
                failed = lost.reindex(columns=seeds).fillna("ok").ne("ok").to_numpy()
                values = np.where(np.isnan(values) & failed, np.inf, values)
            columns.append("[" + ",".join(_numbers(line) for line in values.T) + "]")
        entries.append(f'{json.dumps(head)[:-1]},"y":[{",".join(columns)}]}}')
    return entries, [len(kept), len(places)]


def thinned(places: Sequence[int], most: int) -> list[int]:
    """At most ``most`` places, about equally far apart on a logarithmic axis, both ends among them."""
    if len(places) <= most:
        return list(places)
    at = np.log1p(np.asarray(places, dtype=float) - places[0])
    wanted = np.linspace(at[0], at[-1], most)
    return sorted({places[int(np.abs(at - place).argmin())] for place in wanted})


def _lost(rows: pd.DataFrame) -> np.ndarray:
    """Which seeds diverged."""
    if "status" not in rows:
        return np.zeros(len(rows), dtype=bool)
    return rows["status"].fillna("ok").ne("ok").to_numpy()


def _measured(rows: pd.DataFrame, name: str, lost: np.ndarray) -> np.ndarray:
    """A metric's values, infinite where a diverged run has none, NaN where it is undefined."""
    values = rows[name].to_numpy(dtype=float)
    if metric(name).from_one:
        values = 1 - values
    return np.where(np.isnan(values) & lost, np.inf, values)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _numbers(values: Iterable[float]) -> str:
    """JSON has no infinity, but reads a number that is too large as one."""
    return f"[{','.join(_text(value) for value in values)}]"


def _text(value: float) -> str:
    if math.isnan(value):
        return "null"
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return f"{value:.{DIGITS}g}"
