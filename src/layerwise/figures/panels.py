"""What several figures draw: lines over the iterations, and points over a setting."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from layerwise.figures import style
from layerwise.results.selection import bands

FEW = 8  # points of a line that each have a marker
TRACE = ["problem", "kappa_x", "kappa_f", "method", "lr", "damping", "step"]


def trace_bands(traces: pd.DataFrame, metrics: list[str], keys: list[str]) -> pd.DataFrame:
    """Median and quartiles over seeds of each metric at each step, for each of TRACE and ``keys``;
    ``metric`` names the metric."""
    by = [*TRACE[:-1], *(key for key in keys if key not in TRACE), "step"]
    return pd.concat(
        [bands(traces, by, metric).assign(metric=metric) for metric in metrics], ignore_index=True
    )


def lines_with_bands(axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str]) -> None:
    """A line with its band for each method against a column, on a log axis. A method's line ends where
    most of its runs diverge; one with no line stays in the legend."""
    axes.set_xscale(
        "log"
    )  # before the lines: a linear axis without any gets limits that no log axis has
    for method in style.ordered(table["method"].unique()):
        line = finite(table[table["method"] == method]).sort_values(along)
        look = style.of_method(method, labels)
        # A long line has markers at equal distances, a short one at each point.
        spread = 0.12 if len(line) > FEW else None
        axes.plot(line[along], line["median"], markevery=spread, **look)
        axes.fill_between(
            line[along], line["low"], line["high"], color=look["color"], alpha=0.12, lw=0
        )


def finite(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose median is a number; what is infinite has no place on an axis, and stays in the
    drawn table."""
    return table[np.isfinite(table["median"])]


def label_values(axes: Axes, values: pd.Series) -> None:
    """Ticks at a column's own values, where a log axis spans too little for decades."""
    ticks = sorted(values.unique())
    axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def over_iterations(axes: Axes, panel: pd.DataFrame, labels: dict[str, str]) -> None:
    """Lines with bands over the iterations on log axes; step 0 has no place there."""
    axes.set_yscale("log")
    lines_with_bands(axes, panel[panel["step"] > 0], "step", labels)


def passages(
    axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str], budget: float
) -> None:
    """Iterations against a setting on log axes: a line with quartile bars for each method where its
    median arrives, and an arrow at the budget where it does not."""
    axes.set(xscale="log", yscale="log")
    methods = style.ordered(table["method"].unique())
    # Arrows of several methods at one place stand beside each other.
    shifts = np.linspace(-1, 1, len(methods)) if len(methods) > 1 else np.zeros(1)
    for method, shift in zip(methods, shifts, strict=True):
        line = table[table["method"] == method].sort_values(along)
        look = style.of_method(method, labels)
        reached = finite(line)
        high = reached["high"].clip(upper=budget)
        spread = np.array([reached["median"] - reached["low"], high - reached["median"]])
        axes.errorbar(
            reached[along], reached["median"], yerr=spread.clip(0), **look, elinewidth=0.7
        )
        censored = line[along][~np.isfinite(line["median"])] * 10 ** (0.03 * shift)
        height = np.full(len(censored), 1.3 * budget)
        axes.plot(censored, height, ls="", marker=r"$\uparrow$", ms=7, color=look["color"])
    if table[along].nunique() == 1:  # no decade has a tick
        label_values(axes, table[along])


def over_setting(
    axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str], scale: str = "log"
) -> None:
    """A line with quartile bars for each method against a column, on a log axis; the vertical axis is
    of the given scale."""
    axes.set(xscale="log", yscale=scale)
    for method in style.ordered(table["method"].unique()):
        line = finite(table[table["method"] == method]).sort_values(along)
        high = line["high"].where(np.isfinite(line["high"]), line["median"])
        spread = np.array([line["median"] - line["low"], high - line["median"]])
        axes.errorbar(
            line[along],
            line["median"],
            yerr=spread,
            **style.of_method(method, labels),
            elinewidth=0.7,
        )
