"""Alignment and test error against κ_x of optimisers newer than the paper, on single-index data."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands, chosen_runs

READS = {"summary": ["kappa_x", "alignment_readout", "test_error"], "selection": []}
METRICS = {"alignment_readout": "alignment", "test_error": "test error"}
BY = ["problem", "kappa_x", "method", "damping", "lr"]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each metric, after the last step."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in METRICS], ignore_index=True
    )
    figure, row = plt.subplots(1, len(METRICS), figsize=(style.WIDTH, 2.8))
    for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
        panels.lines_with_bands(axes, drawn[drawn["metric"] == metric], "kappa_x", labels)
        panels.label_values(axes, drawn["kappa_x"])
        axes.set(xlabel=r"$\kappa_x$", ylabel=name)
    style.legend_below(figure, row[0], columns=4)
    return figure, drawn
