"""Figures: a module each, with draw(tables, labels) -> (figure, drawn table). No torch.

A module reads an experiment's reduced tables and returns what it drew as a table, which is written
beside the figure.
"""

import importlib
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from layerwise.figures.style import RC
from layerwise.results.files import atomic_path
from layerwise.results.tables import write_table


def render(name: str, tables: dict[str, pd.DataFrame], labels: dict[str, str], out: Path) -> None:
    """Draw figure ``name`` from an experiment's reduced tables, by their names, to ``out`` (.pdf), and
    .png and .csv beside it; ``labels`` maps method names to what is written. What a user's matplotlibrc
    or style sets has no part in it."""
    mpl.use("Agg")
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        figure, drawn = importlib.import_module(f"layerwise.figures.{name}").draw(tables, labels)
        box = _lay_out(figure)
        for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", None)):
            with atomic_path(out.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, bbox_inches=box, metadata=metadata)
        plt.close(figure)
    write_table(drawn, out.with_suffix(".csv"))


def _lay_out(figure: Figure) -> Bbox:
    """Place the panels for good, and return the box, in inches, around all that is drawn. Left to
    savefig, each file would do both again, which takes longer than drawing."""
    engine = figure.get_layout_engine()
    assert engine is not None  # style.RC sets one
    engine.execute(figure)
    # Left as it is, it would give the figure another engine, now and after each file that is saved.
    mpl.rcParams["figure.constrained_layout.use"] = False
    figure.set_layout_engine(None)
    return figure.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"])
