"""Figures: a module each, with draw(tables, labels) -> (figure, drawn table). No torch.

A module reads an experiment's reduced tables and returns what it drew as a table, which is written
beside the figure.
"""

import importlib
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from layerwise.figures.style import RC
from layerwise.files import atomic_path
from layerwise.records import read_table, write_table


def render(name: str, paths: list[Path], labels: dict[str, str], out: Path) -> None:
    """Draw figure ``name`` from an experiment's reduced tables to ``out`` (.pdf), and .png and .csv
    beside it; ``labels`` maps method names to what is written. A table goes by its file's name."""
    mpl.use("Agg")
    tables = {path.stem: read_table(path) for path in paths}
    with mpl.rc_context(RC):
        figure, drawn = importlib.import_module(f"layerwise.figures.{name}").draw(tables, labels)
        for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", None)):
            with atomic_path(out.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, metadata=metadata)
        plt.close(figure)
    write_table(drawn, out.with_suffix(".csv"))
