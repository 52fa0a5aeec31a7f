"""Subspace distance against the iteration, with Σ_x along the axes and rotated."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style

READS = {"traces": ["kappa_x", "kappa_f", "basis", "subspace_distance"]}
TITLES = {"axis": r"$\Sigma_x$ along the axes", "rotated": r"$\Sigma_x$ rotated"}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each basis, a line for each method."""
    drawn = panels.trace_bands(tables["traces"], ["subspace_distance"], ["basis"])
    bases = [basis for basis in TITLES if basis in set(drawn["basis"])]
    figure, grid = plt.subplots(
        1, len(bases), figsize=(style.WIDTH, 2.8), sharey=True, squeeze=False
    )
    for axes, basis in zip(grid[0], bases, strict=True):
        panels.over_iterations(axes, drawn[drawn["basis"] == basis], labels)
        axes.set(title=TITLES[basis], xlabel="iteration")
    grid[0, 0].set_ylabel("subspace distance")
    style.legend_below(figure, grid[0, 0], columns=5)
    return figure, drawn
