"""Iterations to the target subspace distance over the whole grid, a panel for each method."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from layerwise.figures import style
from layerwise.figures.condition_grid import iterations

READS = {"summary": ["kappa_x", "kappa_f", "steps_to_target"], "selection": ["lr_at_edge"]}
EXPERIMENT = "condition_grid"
COLUMNS = 4


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Medians over seeds; grey cells, marked with a dash, never reached the target."""
    drawn = iterations(tables)
    methods = style.ordered(drawn["method"].unique())
    rows = -(-len(methods) // COLUMNS)
    figure, grid = plt.subplots(
        rows, COLUMNS, figsize=(style.WIDTH, 1.55 * rows + 0.5), sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    norm = LogNorm(1, drawn["steps"].max())
    for axes, method in zip(grid.flat, methods, strict=False):
        image = _panel(axes, drawn[drawn["method"] == method], norm)
        axes.set_title(labels[method])
    for axes in grid.flat[len(methods) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel(r"$\kappa_x$")
    for axes in grid[:, 0]:
        axes.set_ylabel(r"$\kappa_F$")
    figure.colorbar(image, ax=grid, label="iterations to the target distance", shrink=0.8)
    return figure, drawn


def _panel(axes: Axes, table: pd.DataFrame, norm: LogNorm) -> AxesImage:
    values = table.pivot(index="kappa_f", columns="kappa_x", values="median")
    numbers = values.to_numpy().clip(min=1)
    colours = plt.get_cmap("viridis_r").with_extremes(bad="#DDDDDD")
    image = axes.imshow(
        np.where(np.isfinite(numbers), numbers, np.nan), norm=norm, cmap=colours, origin="lower",
        aspect="auto",
    )  # fmt: skip
    for (i, j), number in np.ndenumerate(numbers):
        text = f"{number:.0f}" if np.isfinite(number) else "–"
        dark = np.isfinite(number) and norm(number) > 0.55
        axes.text(
            j, i, text, ha="center", va="center", color="white" if dark else "black", size=6.5
        )
    axes.set_xticks(range(values.shape[1]), [f"{k:g}" for k in values.columns])
    axes.set_yticks(range(values.shape[0]), [f"{k:g}" for k in values.index])
    axes.grid(False)
    return image
