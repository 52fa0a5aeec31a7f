"""Iterations against kappa_x for several scales of the head at the start."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs

READS = {"summary": ["kappa_x", "kappa_f", "head_scale", "iterations"], "selection": []}
BY = ["problem", "kappa_x", "kappa_f", "head_scale", *VARIANT]
LINES = ("-", "--", ":", "-.")


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each method, a line for each scale."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    drawn = bands(runs, BY, "iterations")
    methods = style.ordered(drawn["method"].unique())
    figure, grid = plt.subplots(1, len(methods), figsize=(style.WIDTH, 2.5), sharey=True,
                                squeeze=False)  # fmt: skip
    scales = sorted(drawn["head_scale"].unique())
    for axes, method in zip(grid[0], methods, strict=True):
        own = drawn[drawn["method"] == method]
        axes.set(xscale="log", yscale="log", xlabel=r"$\kappa_x$")
        colour = style.of_method(method, labels)["color"]
        for scale, line_style in zip(scales, LINES, strict=False):
            line = panels.finite(own[own["head_scale"] == scale]).sort_values("kappa_x")
            axes.plot(line["kappa_x"], line["median"], color=colour, ls=line_style, marker="o",
                      label=rf"$F_0 \times {scale:g}$")  # fmt: skip
            axes.fill_between(line["kappa_x"], line["low"], line["high"], color=colour, alpha=0.12,
                              lw=0)  # fmt: skip
            missing = own[(own["head_scale"] == scale) & ~np.isfinite(own["median"])]
            axes.plot(missing["kappa_x"], [0.97] * len(missing), color=colour, ls="", marker="^",
                      transform=axes.get_xaxis_transform())  # fmt: skip
        axes.set_title(labels[method])
        axes.legend(loc="upper left")
    grid[0, 0].set_ylabel("iterations $T$ to the target")
    return figure, drawn
