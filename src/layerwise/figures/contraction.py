"""Measured against predicted contraction of the component outside the true subspace, a step."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style
from layerwise.selection import bands
from layerwise.theory import contraction

BY = ["problem", "kappa_x", "kappa_f", "method", "lr", "damping"]
MARKERS = "osD^vPX*<>"


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each method: 1 - contraction against the step size, points over the theory."""
    summary = tables["summary"].assign(rate=lambda table: 1 - table["contraction"])
    summary = summary[summary["status"] == "ok"]
    theory = np.where(
        summary["method"] == "kfac",
        1 - contraction.kfac(summary["lr"]),
        1
        - contraction.sgd_slowest(
            summary["lr"], summary["eigenvalue_min"], summary["head_sigma_min"]
        ),
    )
    summary = summary.assign(predicted=theory)
    drawn = bands(summary, BY, "rate").merge(
        bands(summary, BY, "predicted")[[*BY, "median"]], on=BY, suffixes=("", "_predicted")
    )
    methods = style.ordered(drawn["method"].unique())
    figure, grid = plt.subplots(1, len(methods), figsize=(style.WIDTH, 3.0), squeeze=False)
    for axes, method in zip(grid[0], methods, strict=True):
        _panel(axes, drawn[drawn["method"] == method], method)
        axes.set_title(labels[method])
    style.legend_below(figure, grid[0, -1], columns=4)  # KFAC's panel names the lines
    return figure, drawn


def _panel(axes: Axes, table: pd.DataFrame, method: str) -> None:
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.85, table["problem"].nunique()))
    problems = table.groupby("problem", sort=False)
    for (_, points), colour, marker in zip(problems, colours, MARKERS, strict=False):
        first = points.iloc[0]
        axes.errorbar(
            points["lr"], points["median"],
            yerr=np.array([points["median"] - points["low"], points["high"] - points["median"]]),
            ls="", marker=marker, color=colour, mfc="none", elinewidth=0.7,
            label=rf"$\kappa_x={first['kappa_x']:g}$, $\kappa_F={first['kappa_f']:g}$",
        )  # fmt: skip
        if method != "kfac":
            axes.plot(points["lr"], points["median_predicted"], color=colour, lw=0.9, zorder=1)
    if method == "kfac":
        line = table.drop_duplicates("lr").sort_values("lr")
        axes.plot(
            line["lr"], line["median_predicted"], color=style.BLACK, lw=0.9, label="theory: lines"
        )
    axes.set(
        xscale="log", yscale="log", xlabel=r"step size $\eta$", ylabel="1 − contraction a step"
    )
