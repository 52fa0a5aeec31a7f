"""Training loss, subspace distance and transfer loss against the iteration (the paper's Fig. 1)."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style

READS = {
    "traces": ["regime", "kappa_x", "kappa_f", "train_loss", "subspace_distance", "transfer_loss"]
}
METRICS = {
    "train_loss": "training loss",
    "subspace_distance": "subspace distance",
    "transfer_loss": "transfer loss",
}


def draw(
    tables: dict[str, pd.DataFrame], labels: dict[str, str], part: int = 0
) -> tuple[Figure, pd.DataFrame]:
    """A row for each regime, a column for each metric, a line for each method of a part of
    style.in_panels."""
    drawn = panels.trace_bands(tables["traces"], list(METRICS), ["regime"])
    groups = style.in_panels(drawn["method"].unique())
    shown = drawn["method"].isin(groups[min(part, len(groups) - 1)])
    problems = drawn["problem"].unique()
    figure, grid = plt.subplots(
        len(problems), len(METRICS), figsize=(style.WIDTH, 2.1 * len(problems) + 0.8),
        sharex=True, squeeze=False,
    )  # fmt: skip
    for row, problem in zip(grid, problems, strict=True):
        for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
            panel = drawn[shown & (drawn["problem"] == problem) & (drawn["metric"] == metric)]
            panels.over_iterations(axes, panel, labels)
            first = panel.iloc[0]
            axes.set_ylabel(name)
        row[0].set_title(
            rf"{first['regime']}: $\kappa_x={first['kappa_x']:g}$, $\kappa_F={first['kappa_f']:g}$",
            loc="left",
        )
    for axes in grid[-1]:
        axes.set_xlabel("iteration")
    style.legend_below(figure, grid[0, 0], columns=4)
    return figure, drawn
