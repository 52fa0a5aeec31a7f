"""Figures: a module each, with draw(tables, labels) -> (figure, drawn table). No torch.

A module reads an experiment's reduced tables and returns what it drew as a table, which is written
beside the figure.
"""

import importlib
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from layerwise.figures.style import RC
from layerwise.records import atomic_path, read_table, write_table

TABLES = {
    "summary": "summary.parquet",
    "scores": "scores.csv",
    "selection": "selection.csv",
    "traces": "traces.parquet",
}


def render(name: str, folder: Path, labels: dict[str, str], out: Path) -> None:
    """Draw figure ``name`` from the tables in ``folder`` to ``out`` (.pdf), and .png and .csv
    beside it; ``labels`` maps method names to what is written."""
    mpl.use("Agg")
    tables: dict[str, pd.DataFrame] = {
        key: read_table(folder / file) for key, file in TABLES.items()
    }
    with mpl.rc_context(RC):
        figure, drawn = importlib.import_module(f"layerwise.figures.{name}").draw(tables, labels)
        for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", None)):
            with atomic_path(out.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, metadata=metadata)
    write_table(drawn, out.with_suffix(".csv"))
