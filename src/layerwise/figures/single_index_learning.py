"""Single-index learning beyond one step: alignment and test error of every method (the paper's Fig. 3)."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands

READS = {"traces": ["along", "kappa_x", "aspect_ratio", "alignment", "test_error"]}
METRICS = {"alignment": "alignment", "test_error": "test error"}
AXES = {"kappa_x": r"$\kappa_x$", "samples_ratio": "$n/d$", "step": "step"}
BY = ["along", "problem", "kappa_x", "samples_ratio", "step", "method", "damping", "lr"]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Columns: after the last step against kappa_x and against n/d, and over the steps at the largest
    value of n/d's column's kappa_x; rows: the metrics."""
    traces = tables["traces"].assign(samples_ratio=lambda table: 1 / table["aspect_ratio"])
    drawn = pd.concat(
        [bands(traces, BY, metric).assign(metric=metric) for metric in METRICS], ignore_index=True
    )
    last = drawn[drawn["step"] == drawn["step"].max()]
    ratios = last[last["along"] == "aspect_ratio"]
    fixed = ratios["kappa_x"].max() if len(ratios) else last["kappa_x"].max()
    columns = {
        "kappa_x": last[last["along"] == "kappa_x"],
        "samples_ratio": last[last["kappa_x"] == fixed] if len(ratios) else ratios,
        "step": drawn[(drawn["along"] == "kappa_x") & (drawn["kappa_x"] == fixed) & (drawn["step"] > 0)],
    }  # fmt: skip
    shown = {key: table for key, table in columns.items() if len(table)}
    figure, grid = plt.subplots(
        len(METRICS), len(shown), figsize=(style.WIDTH, 4.6), sharey="row", sharex="col",
        squeeze=False,
    )  # fmt: skip
    for row, (metric, name) in zip(grid, METRICS.items(), strict=True):
        for axes, (along, table) in zip(row, shown.items(), strict=True):
            panels.lines_with_bands(axes, table[table["metric"] == metric], along, labels)
            panels.label_values(axes, table[along])
        row[0].set_ylabel(name)
    grid[0, 0].set_ylim(0, 1.03)
    for axes, along in zip(grid[-1], shown, strict=True):
        axes.set_xlabel(AXES[along])
    style.legend_below(figure, grid[0, 0], columns=4)
    return figure, drawn
