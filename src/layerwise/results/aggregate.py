"""Reduce an experiment's run tables: summary of all variants, selection, traces of the selected."""

from pathlib import Path

import pandas as pd

from layerwise.results.selection import chosen_runs, score_variants, select, summarise
from layerwise.results.tables import read_table, write_table

# What every run table of a pipeline has; its task adds its own settings and metrics.
JOB_COLUMNS = ("problem", "method", "damping", "lr", "seed")
TRACE_COLUMNS = ("step", "status", "diverged_at")


def aggregate(tables: list[Path], select_by: str, target: float | None, out: Path) -> list[str]:
    """Write summary, scores, selection and traces as .parquet into the folder ``out``, and the
    selection also as .csv, for people.

    Returns a warning for each selection at the edge of its grid.
    """
    summaries, traces, scores, selections = [], [], [], []
    for path in tables:
        runs = read_table(path, (*JOB_COLUMNS, *TRACE_COLUMNS))
        summary = summarise(runs, target)
        score = score_variants(summary, select_by)
        selection = select(score)
        summaries.append(summary)
        scores.append(score)
        selections.append(selection)
        traces.append(chosen_runs(runs, selection))
    chosen = pd.concat(selections, ignore_index=True)
    write_table(pd.concat(summaries, ignore_index=True), out / "summary.parquet")
    write_table(pd.concat(scores, ignore_index=True), out / "scores.parquet")
    write_table(chosen, out / "selection.parquet")
    write_table(chosen, out / "selection.csv")
    write_table(pd.concat(traces, ignore_index=True), out / "traces.parquet")
    return _edge_warnings(chosen)


def collect(tables: list[Path], out: Path) -> None:
    """Write all tables as one, ``out``/runs.parquet."""
    runs = [read_table(path, JOB_COLUMNS) for path in tables]
    write_table(pd.concat(runs, ignore_index=True), out / "runs.parquet")


def _edge_warnings(selection: pd.DataFrame) -> list[str]:
    return [
        f"{row['method']} on {row['problem']}: {axis} = {row[axis]:g} is at the edge of its grid"
        for axis in ("lr", "damping")
        for _, row in selection[selection[f"{axis}_at_edge"]].iterrows()
    ]
