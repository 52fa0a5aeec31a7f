"""Test error of students that are trained on a fixed number of samples, against that number."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands, chosen_runs

READS = {"summary": ["kappa_x", "n_train", "test_error"], "selection": []}
BY = ["problem", "kappa_x", "n_train", "method", "damping", "lr"]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each condition number, after the last step."""
    drawn = bands(chosen_runs(tables["summary"], tables["selection"]), BY, "test_error")
    kappas = sorted(drawn["kappa_x"].unique())
    figure, row = plt.subplots(
        1, len(kappas), figsize=(style.WIDTH, 2.8), sharey=True, squeeze=False
    )
    for axes, kappa in zip(row[0], kappas, strict=True):
        axes.set_yscale("log")
        panels.lines_with_bands(axes, drawn[drawn["kappa_x"] == kappa], "n_train", labels)
        panels.label_values(axes, drawn["n_train"])
        axes.set(title=rf"$\kappa_x={kappa:g}$", xlabel="training samples")
    row[0, 0].set_ylabel("test error over the noise")
    style.legend_below(figure, row[0, 0], columns=4)
    return figure, drawn
