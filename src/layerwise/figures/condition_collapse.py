"""Iterations against kappa_x kappa_F^2: does the product alone decide?"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import style
from layerwise.figures.condition_study import iterations
from layerwise.theory import contraction

READS = {"summary": ["kappa_x", "kappa_f", "iterations"], "selection": []}
MARKERS = "osD^vPX"


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each method, a shade and marker for each kappa_F; the line has slope one."""
    drawn = iterations(tables)
    drawn = drawn[(drawn["metric"] == "iterations") & (drawn["at"] == "selected")]
    drawn = drawn.assign(product=contraction.sgd_condition(drawn["kappa_x"], drawn["kappa_f"]))
    methods = style.ordered(drawn["method"].unique())
    figure, grid = plt.subplots(1, len(methods), figsize=(style.WIDTH, 2.6), sharey=True,
                                squeeze=False)  # fmt: skip
    values = sorted(drawn["kappa_f"].unique())
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(values)))
    for axes, method in zip(grid[0], methods, strict=True):
        own = drawn[drawn["method"] == method]
        axes.set(xscale="log", yscale="log", xlabel=r"$\kappa_x\kappa_F^2$")
        for value, colour, marker in zip(values, colours, MARKERS, strict=False):
            line = own[(own["kappa_f"] == value) & np.isfinite(own["median"])].sort_values(
                "product"
            )
            spread = np.array([line["median"] - line["low"], line["high"] - line["median"]]).clip(0)
            spread[~np.isfinite(spread)] = 0
            axes.errorbar(line["product"], line["median"], yerr=spread, marker=marker, ls="-",
                          lw=0.7, color=colour, label=rf"$\kappa_F={value:g}$")  # fmt: skip
            missing = own[(own["kappa_f"] == value) & ~np.isfinite(own["median"])]
            axes.plot(missing["product"], [0.97] * len(missing), color=colour, ls="", marker="^",
                      transform=axes.get_xaxis_transform())  # fmt: skip
        reached = own[np.isfinite(own["median"])]
        if method == "sgd" and len(reached):
            top = reached.loc[reached["product"].idxmax()]
            ends = np.array([top["product"] / 300, top["product"]])
            axes.plot(ends, top["median"] * ends / top["product"], color=style.BLACK, lw=0.9, ls="--",
                      label="slope 1")  # fmt: skip
        axes.set_title(labels[method])
    grid[0, 0].set_ylabel("iterations $T$ to the target")
    first = grid[0, methods.index("sgd") if "sgd" in methods else 0]
    style.legend_below(figure, first, columns=6)
    return figure, drawn
