"""Iterations to the target subspace distance along kappa_x and along kappa_F."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs

READS = {"summary": ["kappa_x", "kappa_f", "iterations"], "selection": []}
BY = ["problem", "kappa_x", "kappa_f", *VARIANT]
SYMBOLS = {"kappa_x": r"\kappa_x", "kappa_f": r"\kappa_F"}
# The step size at which KFAC's theory is drawn, reported beside the selected one.
FIXED = 0.1


def iterations(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Median and quartiles over seeds of T, and of what theory predicts of SGD, at the selected choices
    and, where they were reported, at FIXED; ``steps`` is the budget, ``at`` tells the two apart."""
    summary = tables["summary"]
    parts = {"selected": chosen_runs(summary, tables["selection"])}
    parts["fixed"] = summary[np.isclose(summary["lr"], FIXED)]
    found = []
    for at, runs in parts.items():
        for metric in ("iterations", "iterations_theory"):
            if metric in runs and runs[metric].notna().any():
                known = runs[runs[metric].notna()]
                found.append(bands(known, BY, metric).assign(metric=metric, at=at))
    drawn = pd.concat(found, ignore_index=True)
    reached = drawn.loc[np.isfinite(drawn["median"]), "median"]
    return drawn.assign(steps=max(summary["step"].max(), reached.max()))


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Columns: along kappa_x at the smallest kappa_F, and the other way; rows: up to six methods each."""
    drawn = iterations(tables)
    groups = style.in_panels(drawn["method"].unique())
    figure, grid = plt.subplots(
        len(groups), 2, figsize=(style.WIDTH, 2.6 * len(groups) + 0.9), sharey=True, sharex="col",
        squeeze=False,
    )  # fmt: skip
    for row, methods in zip(grid, groups, strict=True):
        own = drawn[drawn["method"].isin(methods)]
        for axes, along, other in (
            (row[0], "kappa_x", "kappa_f"),
            (row[1], "kappa_f", "kappa_x"),
        ):
            _panel(axes, own[own[other] == drawn[other].min()], along, labels)
        row[0].set_ylabel("iterations $T$ to the target")
    for axes, other in zip(grid[0], reversed(SYMBOLS), strict=True):
        axes.set_title(f"${SYMBOLS[other]}={drawn[other].min():g}$")
    for axes, along in zip(grid[-1], SYMBOLS, strict=True):
        axes.set_xlabel(f"${SYMBOLS[along]}$")
    style.legend_below(figure, *grid[:, 0], columns=4)
    return figure, drawn


def _panel(axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str]) -> None:
    measured = table[table["metric"] == "iterations"]
    panels.passages(
        axes, measured[measured["at"] == "selected"], along, labels, table["steps"].max()
    )
    fixed = panels.finite(measured[(measured["at"] == "fixed") & (measured["method"] == "kfac")])
    if len(fixed):
        line = fixed.sort_values(along)
        axes.plot(line[along], line["median"], color=style.BLUE, ls=":", marker="D", mfc="none",
                  label=rf"{labels['kfac']} at $\eta={FIXED:g}$")  # fmt: skip
    theory = panels.finite(
        table[(table["metric"] == "iterations_theory") & (table["at"] == "selected")]
    )
    if len(theory):
        line = theory.sort_values(along)
        axes.plot(line[along], line["median"], color=style.BLACK, lw=0.9, zorder=1,
                  label=r"population gradient descent ($n\to\infty$, $\sigma=0$)")  # fmt: skip
