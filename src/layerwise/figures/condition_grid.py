"""Iterations to the target subspace distance against kappa_x and kappa_F, with predicted slopes."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style
from layerwise.selection import VARIANT, bands, chosen_runs
from layerwise.theory import contraction

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
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 3.6), sharey=True)
    for axes, along, other, symbol in (
        (left, "kappa_x", "kappa_f", r"\kappa_x"),
        (right, "kappa_f", "kappa_x", r"\kappa_F"),
    ):
        fixed = drawn[other].min()
        _panel(axes, drawn[drawn[other] == fixed], along, labels)
        _slope(axes, drawn[(drawn[other] == fixed) & (drawn["method"] == "sgd")], along)
        held = r"\kappa_F" if other == "kappa_f" else r"\kappa_x"
        axes.set(xscale="log", yscale="log", xlabel=f"${symbol}$", title=f"${held}={fixed:g}$")
    left.set_ylabel("iterations to the target distance")
    style.legend_below(figure, left, columns=4)
    return figure, drawn


def _panel(axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str]) -> None:
    """A line for each method; points above the dashed line never reached the target."""
    budget = table["steps"].max()
    never = 1.6 * budget
    for method, line in table.groupby("method", sort=False):
        line = line.sort_values(along)
        look = style.of_method(str(method), labels)
        median = line["median"].clip(lower=1)
        shown = median.where(np.isfinite(median), never)
        spread = [
            (median - line["low"].clip(lower=1)).where(np.isfinite(median), 0),
            (line["high"].clip(upper=budget) - median).clip(lower=0).where(np.isfinite(median), 0),
        ]
        axes.errorbar(line[along], shown, yerr=np.array(spread), **look, elinewidth=0.7)
        hollow = line["lr_at_edge"].to_numpy(dtype=bool)
        axes.plot(
            line[along][hollow], shown[hollow], ls="", marker=look["marker"],
            mec=look["color"], mfc="white", zorder=3,
        )  # fmt: skip
    axes.axhline(1.25 * budget, color=style.GREY, lw=0.7, ls="--")
    axes.text(
        0.02, never, "not reached", transform=axes.get_yaxis_transform(), va="bottom", fontsize=6.5
    )
    axes.set_ylim(0.8, 2.6 * budget)


def _slope(axes: Axes, sgd: pd.DataFrame, along: str) -> None:
    """SGD's predicted slope through its second point, and KFAC's flat line."""
    reached = sgd[np.isfinite(sgd["median"])].sort_values(along)
    if len(reached):
        predicted = contraction.sgd_condition(sgd["kappa_x"], sgd["kappa_f"])
        anchor = reached.iloc[min(1, len(reached) - 1)]
        scale = anchor["median"] / contraction.sgd_condition(anchor["kappa_x"], anchor["kappa_f"])
        axes.plot(
            sgd[along], scale * predicted, color=style.BLACK, ls=(0, (1, 1)), lw=0.9,
            label=r"slope $\kappa_x\kappa_F^2$", zorder=1,
        )  # fmt: skip
