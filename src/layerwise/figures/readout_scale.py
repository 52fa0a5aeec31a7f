"""Where the theory's small readout ends: alignment of one step against the readout's scale."""

from typing import cast

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style

READS = {"runs": ["kappa_x", "readout_scale", "width", "alignment", "alignment_theory"]}
# KFAC's damping values, each with its shade; SGD has none.
SHADES = {0.01: style.BLUE, 0.1: style.SKY, 1.0: style.GREEN}
BY = ["problem", "kappa_x", "readout_scale", "width", "method", "damping", "alignment_theory"]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each condition number; the theory is a level."""
    after = tables["runs"][tables["runs"]["step"] == 1]
    measured = after.groupby(BY, sort=False)["alignment"]
    drawn = measured.agg(["mean", "sem"]).reset_index()
    kappas = drawn["kappa_x"].unique()
    figure, grid = plt.subplots(
        1, len(kappas), figsize=(style.WIDTH, 2.7), sharey=True, squeeze=False
    )
    for axes, kappa in zip(grid[0], kappas, strict=True):
        _panel(axes, drawn[drawn["kappa_x"] == kappa], labels)
        axes.set(xlabel="readout scale", xscale="log", title=rf"$\kappa_x={kappa:g}$")
    grid[0, 0].set(ylabel="alignment of the update", ylim=(0, 1.03))
    style.legend_below(figure, grid[0, 0], columns=3)
    return figure, drawn


def _panel(axes: Axes, table: pd.DataFrame, labels: dict[str, str]) -> None:
    for keys, line in table.groupby(["method", "damping"], sort=False):
        method, damping = cast(tuple[str, float], keys)
        look = style.of_method(method, labels)
        colour = SHADES.get(damping, look["color"]) if method == "kfac" else look["color"]
        name = look["label"] + (rf", $\lambda={damping:g}$" if method == "kfac" else "")
        axes.errorbar(
            line["readout_scale"], line["mean"], yerr=line["sem"], ls="", marker=look["marker"],
            color=colour, elinewidth=0.7, label=f"{name}, simulation",
        )  # fmt: skip
        axes.axhline(line["alignment_theory"].iloc[0], color=colour, lw=1, label=f"{name}, theory")
    axes.axvline(table["width"].iloc[0] ** -0.5, color=style.GREY, ls=":", lw=1)
