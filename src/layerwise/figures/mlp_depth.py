"""Test error of students against the number of steps, isotropic and not, and the gap between the two."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands, chosen_runs

READS = {"summary": ["kappa_x", "steps", "test_error"], "selection": []}
# Added to errors before their ratio is taken: far below it no gap is of interest.
FLOOR = 0.001


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each condition number, and one for the decades between the largest and the smallest."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    by = ["problem", "kappa_x", "steps", "method", "damping", "lr"]
    errors = bands(runs, by, "test_error").assign(metric="test_error")
    drawn = pd.concat([errors, _gaps(runs)], ignore_index=True)
    kappas = sorted(drawn["kappa_x"].dropna().unique())
    figure, row = plt.subplots(1, len(kappas) + 1, figsize=(style.WIDTH, 2.7), squeeze=False)
    for axes, kappa in zip(row[0], kappas, strict=False):
        panels.over_iterations(axes, _along(errors[errors["kappa_x"] == kappa]), labels)
        axes.set(title=rf"$\kappa_x={kappa:g}$", ylabel="test error over the noise")
    panels.lines_with_bands(row[0, -1], _along(drawn[drawn["metric"] == "gap"]), "step", labels)
    row[0, -1].set(
        title=rf"$\kappa_x={kappas[-1]:g}$ over ${kappas[0]:g}$",
        ylabel=rf"$\log_{{10}}$ ratio of errors $+\,{FLOOR:g}$",
    )
    for axes in row[0]:
        axes.set_xlabel("steps")
        panels.label_values(axes, errors["steps"])
    style.legend_below(figure, row[0, 0], columns=4)
    return figure, drawn


def _along(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(step=table["steps"])


def _gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """log10 of the errors' ratio at the largest and the smallest condition number, paired over seeds."""
    filled = runs.assign(test_error=runs["test_error"].fillna(np.inf) + FLOOR)
    by = ["method", "steps", "seed"]
    ends = [
        filled[filled["kappa_x"] == kappa].set_index(by)["test_error"]
        for kappa in (filled["kappa_x"].max(), filled["kappa_x"].min())
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.log10(ends[0] / ends[1]).rename("gap").reset_index()
    return bands(gap, ["method", "steps"], "gap").assign(metric="gap")
