"""Reduce an experiment's run tables: summary of all variants, selection, traces of the selected."""

from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.records import RUN_COLUMNS, read_table, write_table
from layerwise.selection import chosen_runs, score_variants, select, summarise


def aggregate(
    tables: list[Path], cells: list[dict[str, Any]], select_by: str, target: float, out: Path
) -> list[str]:
    """Write summary.parquet, scores.csv, selection.csv and traces.parquet into the folder ``out``.

    ``cells`` gives the problem's name and the varied keys of each table, in the same order.
    Returns a warning for each selection at the edge of its grid.
    """
    summaries, traces, scores, selections = [], [], [], []
    for path, cell in zip(tables, cells, strict=True):
        runs = read_table(path, RUN_COLUMNS).assign(problem=cell["problem"], **cell["varied"])
        summary = summarise(runs, target)
        score = score_variants(summary, select_by)
        selection = select(score).assign(**cell["varied"])
        summaries.append(summary)
        scores.append(score.assign(**cell["varied"]))
        selections.append(selection)
        traces.append(chosen_runs(runs, selection))
    chosen = pd.concat(selections, ignore_index=True)
    write_table(pd.concat(summaries, ignore_index=True), out / "summary.parquet")
    write_table(pd.concat(scores, ignore_index=True), out / "scores.csv")
    write_table(chosen, out / "selection.csv")
    write_table(pd.concat(traces, ignore_index=True), out / "traces.parquet")
    return _edge_warnings(chosen)


def collect(tables: list[Path], cells: list[dict[str, Any]], out: Path) -> None:
    """Write all tables as one, ``out``/runs.parquet, with the names of problems and varied keys."""
    runs = [
        read_table(path).assign(problem=cell["problem"], **cell["varied"])
        for path, cell in zip(tables, cells, strict=True)
    ]
    write_table(pd.concat(runs, ignore_index=True), out / "runs.parquet")


def _edge_warnings(selection: pd.DataFrame) -> list[str]:
    return [
        f"{row['method']} on {row['problem']}: {axis} = {row[axis]:g} is at the edge of its grid"
        for axis in ("lr", "damping")
        for _, row in selection[selection[f"{axis}_at_edge"]].iterrows()
    ]
