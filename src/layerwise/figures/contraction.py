"""Measured against predicted contraction of the component outside the true subspace, a step."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style
from layerwise.results.selection import bands

READS = {"summary": ["kappa_x", "kappa_f", "contraction", "contraction_theory"]}
BY = ["problem", "kappa_x", "kappa_f", "method", "lr", "damping"]
MARKERS = "osD^vPX*<>"
# Time constants of a run after which its slowest mode is alone, about.
ASYMPTOTIC = 10.0


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each method: 1 - contraction against the step size, points over the theory, where
    there is one. A method all of whose runs diverge has an empty panel."""
    drawn = measured(tables["summary"])
    methods = style.ordered(tables["summary"]["method"].unique())
    figure, grid = plt.subplots(1, len(methods), figsize=(style.WIDTH, 3.0), squeeze=False)
    for axes, method in zip(grid[0], methods, strict=True):
        _panel(axes, drawn[drawn["method"] == method], method)
        axes.set_title(labels[method])
    naming = grid[0, methods.index("kfac") if "kfac" in methods else -1]  # it names the lines too
    style.legend_below(figure, naming, columns=4)
    return figure, drawn


def measured(summary: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles, over the runs that do not diverge, of 1 - contraction, and the median of its
    prediction, NaN for methods without one; ``asymptotic`` tells whether the slowest mode has taken
    over, which is where a run lasts more than ASYMPTOTIC of its time constants."""
    stable = summary[summary["status"] == "ok"]
    stable = stable.assign(
        rate=1 - stable["contraction"], predicted=1 - stable["contraction_theory"]
    )
    drawn = bands(stable, BY, "rate")
    drawn["median_predicted"] = bands(stable, BY, "predicted")["median"]
    drawn["median_predicted"] = drawn["median_predicted"].where(
        np.isfinite(drawn["median_predicted"])
    )
    return drawn.assign(asymptotic=drawn["median"] * summary["step"].max() > ASYMPTOTIC)


def _panel(axes: Axes, table: pd.DataFrame, method: str) -> None:
    axes.set(
        xscale="log", yscale="log", xlabel=r"step size $\eta$", ylabel="1 − contraction a step"
    )
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.85, table["problem"].nunique()))
    problems = table.groupby("problem", sort=False)
    for (_, points), colour, marker in zip(problems, colours, MARKERS, strict=False):
        first = points.iloc[0]
        name = rf"$\kappa_x={first['kappa_x']:g}$, $\kappa_F={first['kappa_f']:g}$"
        for asymptotic, own in points.groupby("asymptotic"):
            spread = np.array([own["median"] - own["low"], own["high"] - own["median"]])
            axes.errorbar(
                own["lr"], own["median"], yerr=spread, ls="", marker=marker, color=colour,
                mfc=colour if asymptotic else "none", elinewidth=0.7, label=name,
            )  # fmt: skip
            name = "_nolegend_"
        if method != "kfac":
            line = points[points["median_predicted"].notna()]
            axes.plot(line["lr"], line["median_predicted"], color=colour, lw=0.9, zorder=1)
    if method == "kfac":
        line = table.drop_duplicates("lr").sort_values("lr")
        axes.plot(
            line["lr"], line["median_predicted"], color=style.BLACK, lw=0.9, label="theory: lines"
        )
