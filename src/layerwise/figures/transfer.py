"""Transfer loss against the steps of training, on a task with a head and a Sigma_x of its own."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs

READS = {
    "summary": ["kappa_x", "kappa_f", "steps", "transfer_loss_population", "subspace_distance"],
    "selection": [],
}
METRICS = {
    "transfer_loss_population": "transfer loss, best head",
    "subspace_distance": "subspace distance",
}
BY = ["problem", "kappa_x", "kappa_f", "steps", *VARIANT]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each metric, a row for up to six methods each."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in METRICS], ignore_index=True
    )
    groups = style.in_panels(drawn["method"].unique())
    figure, grid = plt.subplots(
        len(groups), len(METRICS), figsize=(style.WIDTH, 2.2 * len(groups) + 0.7), sharex=True,
        sharey="col", squeeze=False,
    )  # fmt: skip
    for row, methods in zip(grid, groups, strict=True):
        for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
            own = drawn[drawn["method"].isin(methods) & (drawn["metric"] == metric)]
            panels.over_setting(axes, own, "steps", labels)
            panels.label_values(axes, own["steps"])
            axes.set_ylabel(name)
        row[1].legend(fontsize=6)
    for axes in grid[-1]:
        axes.set_xlabel("steps of training")
    return figure, drawn
