"""An experiment's tables as the page carries them: values by seed of every choice, and traces.

Statistics over seeds are made in the browser, since ratios to a baseline are taken seed by seed.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from layerwise.page.problems import Problems, metric_columns, problems_of
from layerwise.page.values import RUN, Runs, final_entries, trace_entries
from layerwise.results.descriptions import ALONG, METRICS, Offer, default_view, metric
from layerwise.results.tables import read_table


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
            self.final = _ends(self.traces)
        numbered = _numbered(self.final)
        if numbered and self.selection.empty:
            self.traces = _by_index(self.final, numbered)
        self.final = self.final.drop(columns=[one for own in numbered.values() for one in own])
        self.select_by = select_by
        self.methods = list(dict.fromkeys(self.final["method"]))
        self.along = next((key for key in ALONG if self._extends(key)), None)

    def _extends(self, key: str) -> bool:
        """Whether runs extend along a column: a start and an end alone say no more than the end."""
        return key in self.traces and self.traces[key].nunique() > 2

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


def _ends(runs: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run and seed."""
    if "step" not in runs:
        return runs
    last = runs.groupby([*RUN, "seed"], dropna=False, sort=False)["step"].idxmax()
    return runs.loc[last.sort_values()].reset_index(drop=True)


def _numbered(table: pd.DataFrame) -> dict[str, list[str]]:
    """Metrics of several values, as singular values are, with their columns: NAME_1, NAME_2 and so on."""
    found: dict[str, list[str]] = {}
    for column in map(str, table):
        name, _, number = column.rpartition("_")
        if number.isdigit() and int(number) == len(found.get(name, [])) + 1:
            found.setdefault(name, []).append(column)
    return {name: columns for name, columns in found.items() if len(columns) > 2}


def _by_index(table: pd.DataFrame, numbered: dict[str, list[str]]) -> pd.DataFrame:
    """A row for each number, from 0 as the figures' tables count."""
    kept = table.drop(columns=[one for own in numbered.values() for one in own] + ["step"])
    longest = max(map(len, numbered.values()))
    each = [
        kept.assign(
            index=index,
            **{name: table[own[index]] for name, own in numbered.items() if index < len(own)},
        )
        for index in range(longest)
    ]
    return pd.concat(each, ignore_index=True)


def experiment_json(tables: Tables) -> str:
    """All that the page draws of an experiment, as JSON with numbers of few digits."""
    problems = problems_of(tables.final)
    seeds = sorted(tables.final["seed"].unique())
    traced = tables.traced
    inner = traced if tables.along and tables.along != "step" else []
    metrics = [name for name in tables.metrics(tables.final) if name not in inner]
    runs = Runs(problems.names, tables.methods, seeds)
    final = final_entries(tables.final, metrics, runs, tables.selection)
    trace, left_out = trace_entries(tables.traces, tables.along, traced, runs)
    head = {
        "axes": [axis.content for axis in problems.axes],
        "problems": problems.names,
        "places": problems.places,
        "crossed": problems.crossed,
        "fixed": problems.fixed,
        "methods": tables.methods,
        "seeds": [int(seed) for seed in seeds],
        "metrics": metrics,
        "along": tables.along,
        "traced": traced,
        "left_out": left_out,
        "by": _choosing(tables, metrics),
        "chosen": not tables.selection.empty,
        "budget": int(tables.traces["step"].max()) if "step" in tables.traces else None,
        "view": default_view(_offer(tables, problems, metrics, traced))._asdict(),
    }
    body = json.dumps(head, ensure_ascii=False)[:-1]
    return f'{body},"final":[{",".join(final)}],"trace":[{",".join(trace)}]}}'


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
