"""Subspace distance over the iterations under each schedule of the step size, with KFAC's floor."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style

READS = {"traces": ["kappa_x", "kappa_f", "schedule", "subspace_distance", "floor_theory"]}
LOOKS = {
    "constant": (style.BLACK, "-", "constant"),
    "cosine": (style.SKY, "--", "cosine"),
    "inverse_time": (style.ORANGE, "-.", r"$1/t$"),
}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A row for each kappa_x, a column for each method, a line for each schedule."""
    traces = tables["traces"]
    drawn = panels.trace_bands(traces, ["subspace_distance"], ["schedule"])
    known = traces[traces["floor_theory"].notna()]
    if len(known):
        floors = panels.trace_bands(known, ["floor_theory"], ["schedule"])
        drawn = pd.concat([drawn, floors], ignore_index=True)
    methods = style.ordered(drawn["method"].unique())
    kappas = sorted(drawn["kappa_x"].unique())
    figure, grid = plt.subplots(
        len(kappas), len(methods), figsize=(style.WIDTH, 1.9 * len(kappas) + 0.6), sharex=True,
        sharey=True, squeeze=False,
    )  # fmt: skip
    for row, kappa in zip(grid, kappas, strict=True):
        for axes, method in zip(row, methods, strict=True):
            own = drawn[(drawn["kappa_x"] == kappa) & (drawn["method"] == method)]
            axes.set(xscale="log", yscale="log")
            for schedule, (colour, line_style, name) in LOOKS.items():
                _line(axes, own[own["schedule"] == schedule], colour, line_style, name)
            axes.set_title(rf"{labels[method]}, $\kappa_x={kappa:g}$")
        row[0].set_ylabel("subspace distance")
    for axes in grid[-1]:
        axes.set_xlabel("iteration")
    style.legend_below(figure, grid[0, 0], columns=4)
    return figure, drawn


def _line(axes: plt.Axes, own: pd.DataFrame, colour: str, line_style: str, name: str) -> None:
    """A schedule's median and band, and its floor."""
    measured = panels.finite(own[(own["metric"] == "subspace_distance") & (own["step"] > 0)])
    line = measured.sort_values("step")
    axes.plot(line["step"], line["median"], color=colour, ls=line_style, label=name)
    axes.fill_between(line["step"], line["low"], line["high"], color=colour, alpha=0.15, lw=0)
    floor = own[own["metric"] == "floor_theory"]
    if len(floor) and np.isfinite(floor["median"].iloc[0]):
        axes.axhline(floor["median"].iloc[0], color=colour, lw=0.8, ls=(0, (1, 1.5)))
