"""Batch-norm's training loss beside its excess and transfer losses (the paper's appendix)."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style

READS = {
    "traces": [
        "kappa_x",
        "kappa_f",
        "transfer_kappa_x",
        "train_loss",
        "excess_loss",
        "transfer_loss",
    ]
}
# Column: metric, and whether the transfer task has another covariance.
COLUMNS = {
    "training loss": ("train_loss", False),
    "excess loss": ("excess_loss", False),
    r"transfer loss, same $\Sigma_x$": ("transfer_loss", False),
    r"transfer loss, other $\Sigma_x$": ("transfer_loss", True),
}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A row for each condition number, a column for each loss, a line for each method."""
    traces = tables["traces"]
    traces = traces.assign(other_transfer=traces["transfer_kappa_x"].notna())
    metrics = ["train_loss", "excess_loss", "transfer_loss"]
    drawn = panels.trace_bands(traces, metrics, ["other_transfer"])
    kappas = drawn["kappa_x"].unique()
    figure, grid = plt.subplots(
        len(kappas), len(COLUMNS), figsize=(style.WIDTH, 1.9 * len(kappas) + 0.7), sharex=True,
        squeeze=False,
    )  # fmt: skip
    for row, kappa in zip(grid, kappas, strict=True):
        for axes, (name, (metric, other)) in zip(row, COLUMNS.items(), strict=True):
            here = (drawn["kappa_x"] == kappa) & (drawn["metric"] == metric)
            panels.over_iterations(axes, drawn[here & (drawn["other_transfer"] == other)], labels)
            axes.set_title(name)
        row[0].set_ylabel(rf"$\kappa_x={kappa:g}$")
    for axes in grid[-1]:
        axes.set_xlabel("iteration")
    style.legend_below(figure, grid[0, 0], columns=4)
    return figure, drawn
