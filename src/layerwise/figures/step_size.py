"""Final error against the step size, and how far from the best one a step size may be."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, around_best, bands, width

READS = {"summary": ["regime", "kappa_x", "kappa_f", "subspace_distance"]}
FACTOR = 2.0
# A method whose best median is above this has not learnt the subspace: its width says nothing.
LEARNT = 0.5


def finals(summary: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over seeds of the last subspace distance; infinite if any seed diverged."""
    by = ["problem", "regime", "kappa_x", "kappa_f", *VARIANT]
    diverged = summary["status"].ne("ok").groupby([summary[key] for key in by]).transform("any")
    return bands(summary.assign(subspace_distance=summary["subspace_distance"].mask(diverged)), by,
                 "subspace_distance")  # fmt: skip


def widths(drawn: pd.DataFrame) -> pd.DataFrame:
    """``decades``: log10 of the ratio of the largest to the smallest step size of the run of grid
    values around the best with a median within FACTOR of its, NaN where the best is above LEARNT;
    ``open``: it ends at the grid's edge."""
    rows = []
    for keys, line in drawn.groupby(["problem", "regime", "method"], sort=False):
        line = line.sort_values("lr")
        lr, median = line["lr"].to_numpy(), line["median"].to_numpy()
        low, high = around_best(median, FACTOR)
        is_open = low == 0 or high == len(lr) - 1
        decades = width(lr, median, FACTOR) if median.min() <= LEARNT else np.nan
        rows.append((*keys, lr[median.argmin()], decades, is_open))
    return pd.DataFrame(rows, columns=["problem", "regime", "method", "lr_best", "decades", "open"])


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each regime, and the widths."""
    drawn = finals(tables["summary"])
    wide = widths(drawn)
    regimes = list(drawn["regime"].unique())
    figure, grid = plt.subplots(
        1, len(regimes) + 1, figsize=(style.WIDTH, 3.4), width_ratios=[*[1.0] * len(regimes), 0.8]
    )
    for axes, regime in zip(grid, regimes, strict=False):
        own = drawn[drawn["regime"] == regime]
        panels.over_setting(axes, own, "lr", labels)
        first = own.iloc[0]
        axes.set_title(
            rf"{regime}: $\kappa_x={first['kappa_x']:g}$, $\kappa_F={first['kappa_f']:g}$"
        )
        axes.set_xlabel("step size")
    grid[0].set_ylabel("subspace distance at the end")
    _bars(grid[-1], wide, regimes, labels)
    style.legend_below(figure, grid[0], columns=4)
    return figure, drawn.merge(wide, on=["problem", "regime", "method"])


def _bars(axes: Axes, wide: pd.DataFrame, regimes: list[str], labels: dict[str, str]) -> None:
    """A bar for each method and regime; an arrow where the range ends at the grid's edge, a dash where
    the method has not learnt."""
    methods = style.ordered(wide["method"].unique())[::-1]
    height = 0.8 / len(regimes)
    for place, regime in enumerate(regimes):
        own = wide[wide["regime"] == regime].set_index("method").loc[methods]
        y = np.arange(len(methods)) + (0.5 * (len(regimes) - 1) - place) * height
        colours = [style.of_method(method, labels)["color"] for method in methods]
        axes.barh(y, own["decades"], height, color=colours, alpha=1.0 if place == 0 else 0.5)
        for at, (value, is_open) in zip(y, own[["decades", "open"]].to_numpy(), strict=True):
            if np.isnan(value):
                axes.text(0, at, " –", va="center", fontsize=6)
            elif is_open:
                axes.text(value, at, " →", va="center", fontsize=6)
    axes.set_yticks(np.arange(len(methods)), [labels[method] for method in methods], fontsize=6)
    axes.set(xlabel=f"width within a factor of {FACTOR:g}, decades")
    axes.set_title(f"full: {regimes[0]}, pale: {regimes[-1]}")
