"""Iterations to the target subspace distance against kappa_x and kappa_F, with predicted slopes."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style
from layerwise.results.selection import VARIANT, bands, chosen_runs
from layerwise.theory import contraction

READS = {"summary": ["kappa_x", "kappa_f", "steps_to_target"], "selection": ["lr_at_edge"]}
BY = ["problem", "kappa_x", "kappa_f", *VARIANT]


def iterations(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Median and quartiles over seeds of the selected variants' first passage; infinite if never."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    edges = tables["selection"][["problem", "method", "lr_at_edge"]]
    table = bands(runs, BY, "steps_to_target").merge(edges, on=["problem", "method"])
    # The table's budget tells what "never" means.
    return table.assign(steps=runs["step"].max())


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Left: along kappa_x at the smallest kappa_F; right: along kappa_F at the smallest kappa_x."""
    drawn = iterations(tables)
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 3.9), sharey=True)
    symbols = {"kappa_x": r"\kappa_x", "kappa_f": r"\kappa_F"}
    for axes, along, other in ((left, "kappa_x", "kappa_f"), (right, "kappa_f", "kappa_x")):
        fixed = drawn[other].min()
        table = drawn[drawn[other] == fixed].sort_values(along)
        _panel(axes, table, along, labels)
        sgd, kfac = (table[table["method"] == method] for method in ("sgd", "kfac"))
        slow = contraction.sgd_condition(sgd["kappa_x"], sgd["kappa_f"])
        _prediction(axes, sgd, along, slow, r"predicted slope, SGD: $\kappa_x\kappa_F^2$")
        _prediction(axes, kfac, along, np.ones(len(kfac)), "predicted slope, KFAC: flat")
        axes.set(xscale="log", yscale="log", xlabel=f"${symbols[along]}$")
        axes.set_title(f"${symbols[other]}={fixed:g}$")
        axes.set_xticks(table[along].unique(), [f"{value:g}" for value in table[along].unique()])
        axes.minorticks_off()
    left.set_ylabel("iterations to the target distance")
    style.legend_below(figure, left, columns=4)
    return figure, drawn


def _panel(axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str]) -> None:
    """A line for each method. Points above the dashed line never reached the target; there, their
    height only keeps them apart. A hollow point's step size is at the edge of its grid."""
    budget = table["steps"].max()
    methods = style.ordered(table["method"].unique())
    heights = budget * np.geomspace(1.45, 3.2, len(methods))
    for method, never in zip(methods, heights, strict=True):
        line = table[table["method"] == method]
        look = style.of_method(method, labels)
        median = line["median"].clip(lower=1)
        reached = np.isfinite(median)
        shown = median.where(reached, never)
        spread = [
            (median - line["low"].clip(lower=1)).where(reached, 0),
            (line["high"].clip(upper=budget) - median).clip(lower=0).where(reached, 0),
        ]
        axes.errorbar(line[along], shown, yerr=np.array(spread), **look, elinewidth=0.7)
        hollow = line["lr_at_edge"].to_numpy(dtype=bool)
        axes.plot(
            line[along][hollow], shown[hollow], ls="", marker=look["marker"],
            mec=look["color"], mfc="white", zorder=3,
        )  # fmt: skip
    axes.axhline(1.2 * budget, color=style.GREY, lw=0.7, ls="--")
    axes.text(0.02, 2.0 * budget, "not reached", transform=axes.get_yaxis_transform(), fontsize=6.5)
    axes.set_ylim(0.8, 4 * budget)


def _prediction(axes: Axes, line: pd.DataFrame, along: str, slope: np.ndarray, label: str) -> None:
    """A predicted dependence of one method, through its second point that reached the target."""
    median = line["median"].clip(lower=1).to_numpy()
    reached = np.flatnonzero(np.isfinite(median))
    if len(reached):
        anchor = reached[min(1, len(reached) - 1)]
        predicted = np.asarray(slope) * median[anchor] / np.asarray(slope)[anchor]
        below = predicted <= 1.2 * line["steps"].max()  # above, heights mean nothing
        axes.plot(
            line[along].to_numpy()[below], predicted[below], label=label, zorder=1, lw=1.0,
            color=style.METHODS[line["method"].iloc[0]]["color"], ls=(0, (1, 1)),
        )  # fmt: skip
