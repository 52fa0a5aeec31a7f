"""Reduce an experiment's run tables, one after the other: summary of all variants, selection, traces of
the selected. Memory holds one of them at a time. No torch."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from layerwise.results.columns import REPORTING, RUN_KEYS, TUNING
from layerwise.results.growing import Growing
from layerwise.results.selection import chosen_runs, score_variants, select
from layerwise.results.summary import summarise
from layerwise.results.tables import read_table

# What is read of every run table; its task adds its own settings and metrics.
TRACE_COLUMNS = ("stage", "step", "status", "diverged_at")


def aggregate(tables: Iterable[Path], select_by: str, target: float | None, out: Path) -> list[str]:
    """Write summary, scores, selection and traces as .parquet into the folder ``out``, and the
    selection also as .csv, for people.

    Scores, and so the selection, are of the tuning seeds where there are some; summary and traces are of
    the reporting seeds. Returns a warning for each selection at the edge of its grid.
    """
    warnings = []
    with _parts(out) as parts:
        names = ("summary", "scores", "selection", "traces")
        summaries, scores, selections, traces = (Growing(Path(parts), name) for name in names)
        for path in tables:
            runs = read_table(path, (*RUN_KEYS, *TRACE_COLUMNS))
            tuned = runs["stage"] == TUNING
            reported = runs[runs["stage"] == REPORTING]
            summary = summarise(reported, target)
            tried = summarise(runs[tuned], target) if tuned.any() else summary
            score = score_variants(tried, select_by)
            selection = select(score)
            summaries.append(summary)
            scores.append(score)
            selections.append(selection)
            traces.append(chosen_runs(reported, selection))
            warnings += _edge_warnings(selection)
        for name, table in zip(names, (summaries, scores, selections, traces), strict=True):
            table.write(out / f"{name}.parquet")
        selections.write(out / "selection.csv")
    return warnings


def collect(tables: Iterable[Path], out: Path) -> None:
    """Write all tables as one, ``out``/runs.parquet."""
    with _parts(out) as parts:
        runs = Growing(Path(parts), "runs")
        for path in tables:
            runs.append(read_table(path, RUN_KEYS))
        runs.write(out / "runs.parquet")


def _parts(out: Path) -> TemporaryDirectory[str]:
    out.mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(dir=out, prefix=".parts-")


def _edge_warnings(selection: pd.DataFrame) -> list[str]:
    return [
        f"{row['method']} on {row['problem']}: {axis} = {row[axis]:g} is at the edge of its grid"
        for axis in ("lr", "damping")
        for _, row in selection[selection[f"{axis}_at_edge"]].iterrows()
    ]
