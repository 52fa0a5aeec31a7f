"""Labelings of digits, and transfer to their classes, against the condition number of mixed inputs."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands, chosen_runs

METRICS = {"test_error": "wrong labels", "transfer_error": "wrong classes after transfer"}
READS = {
    "summary": ["kappa_x", "test_error", "transfer_error", "transfer_error_inputs"],
    "selection": [],
}
BY = ["problem", "kappa_x", "method", "damping", "lr"]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A column for each error, after the last step, and a row for each group of methods; grey is a readout
    on the inputs themselves."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    names = [*METRICS, "transfer_error_inputs"]
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in names], ignore_index=True
    )
    inputs = panels.finite(drawn[drawn["metric"] == "transfer_error_inputs"])
    inputs = inputs.drop_duplicates("kappa_x").sort_values("kappa_x")
    groups = style.in_panels(drawn["method"].unique())
    figure, grid = plt.subplots(
        len(groups), len(METRICS), figsize=(style.WIDTH, 2.1 * len(groups) + 0.9), sharex=True,
        sharey="col", squeeze=False,
    )  # fmt: skip
    for row, methods in zip(grid, groups, strict=True):
        own = drawn[drawn["method"].isin(methods)]
        for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
            axes.set_yscale("log")
            panels.lines_with_bands(axes, own[own["metric"] == metric], "kappa_x", labels)
            panels.label_values(axes, drawn["kappa_x"])
            axes.set_ylabel(name)
        row[1].plot(
            inputs["kappa_x"], inputs["median"], color=style.GREY, ls="--", zorder=1, label="inputs"
        )
    for axes in grid[-1]:
        axes.set_xlabel(r"$\kappa_x$")
    style.legend_below(figure, *grid[:, 1], columns=4)
    return figure, drawn
