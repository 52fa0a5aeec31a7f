"""Batch-norm's training loss beside its excess and transfer losses (the paper's appendix)."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.theory.kfac_noise import excess_loss_floor

READS = {
    "traces": [
        "kappa_x", "kappa_f", "transfer_kappa_x", "train_loss", "excess_loss", "transfer_loss",
        "batch_size", "noise", "d_x", "d_y", "rank",
    ]
}  # fmt: skip
# Column: metric, and whether the transfer task has another covariance.
COLUMNS = {
    "training loss": ("train_loss", False),
    "excess loss": ("excess_loss", False),
    r"transfer loss, same $\Sigma_x$": ("transfer_loss", False),
    r"transfer loss, other $\Sigma_x$": ("transfer_loss", True),
}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A column for each loss; for each condition number a row with SGD and its variants, and one with
    Adam's, the other methods in both."""
    traces = tables["traces"]
    traces = traces.assign(other_transfer=traces["transfer_kappa_x"].notna())
    metrics = ["train_loss", "excess_loss", "transfer_loss"]
    drawn = panels.trace_bands(traces, metrics, ["other_transfer"])
    methods = list(drawn["method"].unique())
    groups = [[name for name in methods if other not in name] for other in ("adam", "sgd")]
    rows = [(kappa, group) for kappa in drawn["kappa_x"].unique() for group in groups if group]
    columns = {
        name: column
        for name, column in COLUMNS.items()
        if (drawn["other_transfer"] == column[1]).any()
    }
    figure, grid = plt.subplots(
        len(rows), len(columns), figsize=(style.WIDTH, 1.6 * len(rows) + 0.9), sharex=True,
        sharey="col", squeeze=False,
    )  # fmt: skip
    for row, (kappa, group) in zip(grid, rows, strict=True):
        own = drawn[(drawn["kappa_x"] == kappa) & drawn["method"].isin(group)]
        for axes, (metric, other) in zip(row, columns.values(), strict=True):
            here = (own["metric"] == metric) & (own["other_transfer"] == other)
            panels.over_iterations(axes, own[here], labels)
            if metric == "excess_loss":
                _floor(axes, traces[(traces["method"] == "kfac") & (traces["kappa_x"] == kappa)])
        row[0].set_ylabel(rf"$\kappa_x={kappa:g}$")
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name)
    for axes in grid[-1]:
        axes.set_xlabel("iteration")
    style.legend_below(figure, *grid[:, 0], columns=4)
    return figure, drawn


def _floor(axes: Axes, kfac: pd.DataFrame) -> None:
    """KFAC's excess-loss floor at its step size, in closed form."""
    if kfac.empty or not 0 < (lr := kfac["lr"].median()) < 2:
        return
    first = kfac.iloc[0]
    sizes = int(first["d_x"]), int(first["d_y"]), int(first["rank"])
    if first["batch_size"] <= sizes[0] + 1:
        return
    floor = float(excess_loss_floor(lr, first["noise"], int(first["batch_size"]), sizes))
    axes.axhline(floor, color=style.BLUE, lw=0.8, ls=(0, (1, 1.5)))
