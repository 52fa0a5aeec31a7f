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
            self.final = self.traces
        self.select_by = select_by
        self.methods = list(dict.fromkeys(self.final["method"]))
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
