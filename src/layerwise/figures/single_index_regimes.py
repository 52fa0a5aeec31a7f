"""Alignment and test error over the steps: first layer or both, fresh samples or the same ones."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands

READS = {"traces": ["layers", "samples", "alignment", "test_error"]}
METRICS = {"alignment": "alignment", "test_error": "test error"}
BY = ["problem", "layers", "samples", "step", "method", "damping", "lr"]
LAYERS = {"first": "first layer", "both": "both layers"}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A column for each regime, a row for each metric, and again where there are many methods."""
    drawn = pd.concat(
        [bands(tables["traces"], BY, metric).assign(metric=metric) for metric in METRICS],
        ignore_index=True,
    )
    groups = style.in_panels(drawn["method"].unique())
    rows = [(methods, metric) for methods in groups for metric in METRICS]
    regimes = drawn[["layers", "samples"]].drop_duplicates().to_numpy().tolist()
    figure, grid = plt.subplots(
        len(rows), len(regimes), figsize=(style.WIDTH, 1.6 * len(rows) + 1.0), sharex=True,
        sharey="row", squeeze=False,
    )  # fmt: skip
    for row, (methods, metric) in zip(grid, rows, strict=True):
        own = drawn[drawn["method"].isin(methods) & (drawn["metric"] == metric)]
        for axes, (layers, samples) in zip(row, regimes, strict=True):
            here = (own["layers"] == layers) & (own["samples"] == samples)
            panel = own[here & (own["step"] > 0)]
            panels.lines_with_bands(axes, panel, "step", labels)
            panels.label_values(axes, panel["step"])
        row[0].set_ylabel(METRICS[metric])
    for axes, (layers, samples) in zip(grid[0], regimes, strict=True):
        axes.set_title(f"{LAYERS[layers]}, {samples} samples")
    for axes in grid[-1]:
        axes.set_xlabel("step")
    style.legend_below(figure, *grid[:, 0], columns=4)
    return figure, drawn
