"""What several figures draw: lines over the iterations, and points over a setting."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from layerwise.figures import style
from layerwise.selection import bands

TRACE = ["problem", "kappa_x", "kappa_f", "method", "lr", "damping", "step"]


def trace_bands(traces: pd.DataFrame, metrics: list[str], keys: list[str]) -> pd.DataFrame:
    """Median and quartiles over seeds of each metric at each step, for each of TRACE and ``keys``;
    ``metric`` names the metric."""
    by = [*TRACE[:-1], *(key for key in keys if key not in TRACE), "step"]
    return pd.concat(
        [bands(traces, by, metric).assign(metric=metric) for metric in metrics], ignore_index=True
    )


def lines_with_bands(axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str]) -> None:
    """A line with its band for each method against a column, on a log axis."""
    for method in style.ordered(table["method"].unique()):
        line = table[table["method"] == method].sort_values(along)
        look = style.of_method(method, labels)
        axes.plot(line[along], line["median"], markevery=0.12, **look)
        axes.fill_between(
            line[along], line["low"], line["high"], color=look["color"], alpha=0.12, lw=0
        )
    axes.set_xscale("log")


def label_values(axes: Axes, values: pd.Series) -> None:
    """Ticks at a column's own values, where a log axis spans too little for decades."""
    ticks = sorted(values.unique())
    axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
    axes.minorticks_off()


def over_iterations(axes: Axes, panel: pd.DataFrame, labels: dict[str, str]) -> None:
    """Lines with bands over the iterations on log axes; step 0 has no place there."""
    lines_with_bands(axes, panel[panel["step"] > 0], "step", labels)
    axes.set_yscale("log")


def over_setting(axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str]) -> None:
    """A line with quartile bars for each method against a column, on log axes; what is infinite is left
    out of the line, and stays in the drawn table."""
    for method in style.ordered(table["method"].unique()):
        line = table[(table["method"] == method) & np.isfinite(table["median"])].sort_values(along)
        high = line["high"].where(np.isfinite(line["high"]), line["median"])
        spread = np.array([line["median"] - line["low"], high - line["median"]])
        axes.errorbar(
            line[along],
            line["median"],
            yerr=spread,
            **style.of_method(method, labels),
            elinewidth=0.7,
        )
    axes.set(xscale="log", yscale="log")
