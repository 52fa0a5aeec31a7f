"""Subspace distance and transfer loss against the iteration, for Gaussian and Rademacher inputs."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style

READS = {"traces": ["kappa_x", "kappa_f", "inputs", "subspace_distance", "transfer_loss"]}
METRICS = {"subspace_distance": "subspace distance", "transfer_loss": "transfer loss"}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A column for each law of the inputs, a row for each metric; the rows share their axes."""
    drawn = panels.trace_bands(tables["traces"], list(METRICS), ["inputs"])
    laws = drawn["inputs"].unique()
    figure, grid = plt.subplots(
        len(METRICS),
        len(laws),
        figsize=(style.WIDTH, 4.6),
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for row, (metric, name) in zip(grid, METRICS.items(), strict=True):
        for axes, law in zip(row, laws, strict=True):
            panel = drawn[(drawn["inputs"] == law) & (drawn["metric"] == metric)]
            panels.over_iterations(axes, panel, labels)
            axes.set_title(f"{law.capitalize()} inputs")
        row[0].set_ylabel(name)
    for axes in grid[-1]:
        axes.set_xlabel("iteration")
    style.legend_below(figure, grid[0, 0], columns=5)
    return figure, drawn
