"""Rademacher over Gaussian inputs, method by method, at the choice that Gaussian ones select."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.claims.statistics import by_seed
from layerwise.figures import style
from layerwise.results.selection import chosen_runs

READS = {
    "summary": [
        "inputs",
        "kappa_x",
        "kappa_f",
        "mean_subspace_distance",
        "subspace_distance",
        "transfer_loss",
    ],
    "selection": [],
}
METRICS = {
    "mean_subspace_distance": "distance over the iterations",
    "subspace_distance": "distance at the end",
    "transfer_loss": "transfer loss at the end",
}
EQUIVALENT = 0.1  # of the log ratio


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each metric: paired log ratios, their means with 1.96 standard errors."""
    drawn = ratios(chosen_runs(tables["summary"], tables["selection"]))
    methods = style.ordered(drawn["method"].unique())[::-1]
    figure, grid = plt.subplots(1, len(METRICS), figsize=(style.WIDTH, 0.26 * len(methods) + 1.0),
                                sharey=True)  # fmt: skip
    for axes, (metric, name) in zip(grid, METRICS.items(), strict=True):
        axes.axvspan(-EQUIVALENT, EQUIVALENT, color=style.GREY, alpha=0.2, lw=0)
        axes.axvline(0, color=style.GREY, lw=0.7)
        own = drawn[drawn["metric"] == metric].set_index("method")
        for place, method in enumerate(methods):
            look = style.of_method(method, labels)
            mean, error = own.reindex([method])[["mean", "error"]].to_numpy()[0]
            axes.errorbar(mean, place, xerr=1.96 * error,
                          color=look["color"], marker=look["marker"])  # fmt: skip
        axes.set_title(name)
    figure.supxlabel("log ratio, Rademacher over Gaussian inputs", fontsize=8)
    grid[0].set_yticks(range(len(methods)), [labels[method] for method in methods])
    return figure, drawn


def ratios(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over seeds of the log ratio of Rademacher over Gaussian inputs."""
    rows = []
    for method, own in runs.groupby("method", sort=False):
        for metric in METRICS:
            wide = by_seed(own, metric, "inputs")
            if {"gaussian", "rademacher"} <= set(wide.columns):
                logs = np.log(wide["rademacher"] / wide["gaussian"])
                rows.append((method, metric, logs.mean(), logs.std(ddof=1) / np.sqrt(len(logs))))
    return pd.DataFrame(rows, columns=["method", "metric", "mean", "error"])
