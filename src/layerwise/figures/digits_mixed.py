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
    """A panel for each error, after the last step; grey is a readout on the inputs themselves."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    names = [*METRICS, "transfer_error_inputs"]
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in names], ignore_index=True
    )
    figure, row = plt.subplots(1, len(METRICS), figsize=(style.WIDTH, 2.9))
    for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
        axes.set_yscale("log")
        panels.lines_with_bands(axes, drawn[drawn["metric"] == metric], "kappa_x", labels)
        panels.label_values(axes, drawn["kappa_x"])
        axes.set(xlabel=r"$\kappa_x$", ylabel=name)
    own = panels.finite(drawn[drawn["metric"] == "transfer_error_inputs"])
    own = own.drop_duplicates("kappa_x").sort_values("kappa_x")
    row[1].plot(own["kappa_x"], own["median"], color=style.GREY, ls="--", zorder=1, label="inputs")
    style.legend_below(figure, row[1], columns=4)
    return figure, drawn
