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
    """A column for each regime, a row for each metric."""
    drawn = pd.concat(
        [bands(tables["traces"], BY, metric).assign(metric=metric) for metric in METRICS],
        ignore_index=True,
    )
    regimes = drawn[["layers", "samples"]].drop_duplicates().to_numpy().tolist()
    figure, grid = plt.subplots(
        len(METRICS), len(regimes), figsize=(style.WIDTH, 4.2), sharex=True, sharey="row",
        squeeze=False,
    )  # fmt: skip
    for row, (metric, name) in zip(grid, METRICS.items(), strict=True):
        for axes, (layers, samples) in zip(row, regimes, strict=True):
            here = (drawn["layers"] == layers) & (drawn["samples"] == samples)
            panel = drawn[here & (drawn["metric"] == metric) & (drawn["step"] > 0)]
            panels.lines_with_bands(axes, panel, "step", labels)
            panels.label_values(axes, panel["step"])
            axes.set_title(f"{LAYERS[layers]}, {samples} samples")
        row[0].set_ylabel(name)
    for axes in grid[-1]:
        axes.set_xlabel("step")
    style.legend_below(figure, grid[0, 0], columns=4)
    return figure, drawn
