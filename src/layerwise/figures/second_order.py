"""Stability of full and layer-wise second-order methods over step size and damping, and their rate."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs

READS = {
    "summary": ["kappa_x", "kappa_f", "batch_size", "subspace_distance", "iterations"],
    "selection": [],
}
VARIED = ["damping"]
BY = ["problem", "batch_size", "kappa_x", "kappa_f", *VARIANT]


def variants(summary: pd.DataFrame) -> pd.DataFrame:
    """Median over seeds of each variant's last subspace distance, and the share of diverged seeds."""
    table = bands(summary, BY, "subspace_distance")
    diverged = summary.assign(diverged=summary["status"] != "ok").groupby(BY, sort=False)[
        "diverged"
    ]
    return table.merge(diverged.mean().reset_index(), on=BY)


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Maps of the methods with damping, a row each and a column for each batch size; below, the
    iterations to the target and the share of variants with which no seed diverges."""
    drawn = variants(tables["summary"])
    damped = [m for m in style.ordered(drawn["method"].unique())
              if drawn[drawn["method"] == m]["damping"].nunique() > 1]  # fmt: skip
    sizes = np.sort(drawn["batch_size"].unique())
    figure = plt.figure(figsize=(style.WIDTH, 1.6 * len(damped) + 3.0))
    (upper,), (lower,) = figure.subfigures(
        2, 1, height_ratios=[1.6 * len(damped), 2.9], squeeze=False
    )
    grid = upper.subplots(len(damped), len(sizes), sharex=True, sharey=True, squeeze=False)
    norm = LogNorm(panels.finite(drawn)["median"].to_numpy().min(initial=0.1), 1.0)
    for row, method in zip(grid, damped, strict=True):
        for axes, size in zip(row, sizes, strict=True):
            own = drawn[(drawn["method"] == method) & (drawn["batch_size"] == size)]
            image = _map(axes, own, norm)
        row[0].set_ylabel(labels[method] + "\n" + r"damping $\lambda$")
    for axes, size in zip(grid[0], sizes, strict=True):
        axes.set_title(f"n = {size:g}")
    for axes in grid[-1]:
        axes.set_xlabel("step size")
    upper.colorbar(image, ax=grid, label="subspace distance at the end", shrink=0.8)
    left, right = lower.subplots(1, 2)
    chosen = chosen_runs(tables["summary"], tables["selection"])
    passage = bands(chosen, BY, "iterations")
    panels.passages(left, passage, "batch_size", labels, chosen["step"].max())
    left.set(xlabel="batch size $n$", ylabel="iterations to the target distance")
    stable = drawn.assign(median=drawn["diverged"].eq(0).astype(float))
    stable = stable.groupby(["method", "batch_size"], sort=False)["median"].mean().reset_index()
    stable = stable.assign(low=stable["median"], high=stable["median"])
    panels.over_setting(right, stable, "batch_size", labels, scale="linear")
    right.set(xlabel="batch size $n$", ylabel="share of stable variants")
    style.legend_below(lower, right, columns=4)
    return figure, drawn


def _map(axes: Axes, table: pd.DataFrame, norm: LogNorm) -> AxesImage:
    values = table.pivot(index="damping", columns="lr", values="median")
    diverged = table.pivot(index="damping", columns="lr", values="diverged").to_numpy()
    image = axes.imshow(
        values.where(np.isfinite(values)).to_numpy(), norm=norm, cmap="viridis", origin="lower",
        aspect="auto",
    )  # fmt: skip
    for row, column in np.argwhere(diverged > 0):
        axes.text(column, row, "×", ha="center", va="center", fontsize=6)
    axes.set_xticks(
        range(len(values.columns)), [f"{v:g}" for v in values.columns], fontsize=6, rotation=60
    )
    axes.set_yticks(range(len(values.index)), [f"{v:g}" for v in values.index], fontsize=6)
    axes.grid(False)
    return image
