"""Leading singular values of one step's update, and of the first layer before and after it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style

READS = {"runs": ["link", "kappa_x", "alignment", "cosine_biased", "singular_values"]}
BY = ["problem", "link", "kappa_x", "method", "lr", "damping", "index"]
SERIES: dict[str, dict[str, Any]] = {
    "update": {"color": style.BLACK, "marker": "x", "label": "update"},
    "before": {"color": style.GREY, "marker": "o", "label": "first layer before"},
    "after": {"color": style.PURPLE, "marker": "D", "label": "first layer after"},
}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A row for each link, a column for each method."""
    groups = _by_index(tables["runs"]).groupby(BY, sort=False)
    quantiles = {name: groups[name].agg(["median", "min", "max"]) for name in SERIES}
    drawn = pd.concat(quantiles, axis=1)
    drawn.columns = ["_".join(column) for column in drawn.columns]
    drawn = drawn.join(groups[["alignment", "cosine_biased"]].median()).reset_index()
    links, methods = drawn["link"].unique(), style.ordered(drawn["method"].unique())
    figure, grid = plt.subplots(
        len(links), len(methods), figsize=(style.WIDTH, 2.1 * len(links) + 0.5), sharex=True,
        sharey="row", squeeze=False,
    )  # fmt: skip
    for row, link in zip(grid, links, strict=True):
        for axes, method in zip(row, methods, strict=True):
            _panel(axes, drawn[(drawn["link"] == link) & (drawn["method"] == method)])
            axes.set_title(f"{labels[method]}, {style.of_link(link)} link")
        row[0].set_ylabel("singular value")
    for axes in grid[-1]:
        axes.set_xlabel("index")
    style.legend_below(figure, grid[0, 0], columns=3)
    return figure, drawn


def _by_index(runs: pd.DataFrame) -> pd.DataFrame:
    """After the step, a row for each singular value: columns index and those of SERIES."""
    after = runs[runs["step"] == 1].reset_index(drop=True)
    stubs = [f"singular_values_{name}" for name in SERIES]
    keys = [*BY[:-1], "seed", "alignment", "cosine_biased"]
    columns = [name for name in map(str, after) if name.startswith("singular_values_")]
    long = pd.wide_to_long(
        after[[*keys, *columns]], stubs, i=keys, j="index", sep="_"
    ).reset_index()
    long = long.rename(columns=dict(zip(stubs, SERIES, strict=True)))
    # Smaller layers have fewer values; a diverged run has none, and keeps its rows.
    there = long[[*SERIES]].notna().all(axis=1) | long["alignment"].isna()
    return long[there].assign(index=long["index"] - 1)


def _panel(axes: Axes, table: pd.DataFrame) -> None:
    for name, look in SERIES.items():
        median = table[f"{name}_median"]
        spread = [median - table[f"{name}_min"], table[f"{name}_max"] - median]
        axes.errorbar(
            table["index"] + 1, median, yerr=spread, ls="", elinewidth=0.7, mfc="none", **look
        )
    first = table.iloc[0]
    cosines = (
        rf"|cos| with $\beta_\star$: {first['alignment']:.2f}"
        "\n" rf"|cos| with $\Sigma_x\beta_\star$: {first['cosine_biased']:.2f}"
    )  # fmt: skip
    axes.text(
        0.97, 0.95, "diverged" if np.isnan(first["alignment"]) else cosines,
        transform=axes.transAxes, ha="right", va="top", fontsize=7,
    )  # fmt: skip
    axes.set(yscale="log", xticks=range(5, int(table["index"].max()) + 2, 5))
