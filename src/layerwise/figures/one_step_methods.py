"""One step of every method: alignment and test error against κ_x, in both bases."""

from collections.abc import Collection
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.data.covariance import spectrum
from layerwise.figures import style
from layerwise.theory.alignment import predicted_alignment
from layerwise.theory.one_step import adam_alignment, true_whitening_alignment

READS = {
    "runs": [
        "basis", "kappa_x", "alignment_readout", "test_error", "test_error_linear", "spectrum", "link",
        "noise", "d", "aspect_ratio", "width",
    ]
}  # fmt: skip
METRICS = {"alignment_readout": "alignment", "test_error": "test error"}
BASELINES = {"test_error_random_features": "random features", "test_error_linear": "best linear"}
BY = ["problem", "basis", "kappa_x", "method", "damping", "lr"]


def _best(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and standard errors over seeds of the variant with the smallest mean test error after the
    step; before it, the features are random."""
    before = runs[runs["step"] == 0].set_index([*BY, "seed"])["test_error"]
    after = runs[runs["step"] == 1].set_index([*BY, "seed"])
    runs = after.assign(test_error_random_features=before).reset_index()
    groups = runs.groupby(BY, sort=False)
    means = (
        groups[[*METRICS, *BASELINES]].mean().join(groups[[*METRICS]].sem().add_suffix("_error"))
    )
    ordered = means.reset_index().sort_values("test_error", kind="stable")
    return ordered.drop_duplicates(["problem", "method"]).sort_values("kappa_x", kind="stable")


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A column for each basis; alignment above, test error below, again where there are many methods."""
    drawn = _best(tables["runs"])
    groups = style.in_panels(drawn["method"].unique())
    rows = [(methods, metric) for methods in groups for metric in METRICS]
    bases = tables["runs"]["basis"].unique()
    figure, grid = plt.subplots(
        len(rows), len(bases), figsize=(style.WIDTH, 1.8 * len(rows) + 1.0), sharex=True,
        sharey="row", squeeze=False,
    )  # fmt: skip
    for row, (methods, metric) in zip(grid, rows, strict=True):
        for axes, basis in zip(row, bases, strict=True):
            here = drawn[drawn["basis"] == basis]
            shown = here[here["method"].isin(methods)]
            if metric == "alignment_readout":
                predicted = _theory(axes, tables["runs"][tables["runs"]["basis"] == basis], shown)
                _panel(axes, shown, metric, labels, predicted)
                axes.set_ylim(0, 1.03)
            else:
                _panel(axes, shown, metric, labels)
                _baselines(axes, here[here["method"] == "sgd"])
        row[0].set_ylabel(METRICS[metric])
    for axes, basis in zip(grid[0], bases, strict=True):
        axes.set_title(rf"$\Sigma_x$ {'along the axes' if basis == 'axis' else 'rotated'}")
    for axes in grid[-1]:
        axes.set_xlabel(r"$\kappa_x$")
    style.legend_below(figure, *grid[1::2, 0], columns=4)
    return figure, drawn


def _theory(axes: Axes, runs: pd.DataFrame, drawn: pd.DataFrame) -> set[str]:
    """The predicted alignments of SGD, of KFAC at its dampings, of whitening by the true covariance and,
    along the axes, of Adam, as lines; which of the drawn methods have one."""
    first: Any = next(runs.itertuples())
    kappas = sorted(runs["kappa_x"].unique())
    gamma = first.d / round(first.d / first.aspect_ratio)
    known = {"sgd", "kfac", "whitened_sgd", *(["adam"] if first.basis == "axis" else [])}
    predicted = known & set(drawn["method"])
    for method in predicted:
        own = drawn[drawn["method"] == method].set_index("kappa_x")
        line = []
        for kappa in kappas:
            of = spectrum(first.spectrum, first.d, kappa), gamma, first.link, first.noise
            if method == "adam":
                line.append(adam_alignment(*of, width=first.width))
            elif method == "whitened_sgd":
                line.append(true_whitening_alignment(*of))
            else:
                line.append(float(predicted_alignment(method, *of, own.loc[kappa, "damping"])))
        colour = style.METHODS[method]["color"]
        axes.plot(kappas, line, color=colour, lw=0.8, zorder=1)
    return predicted


def _panel(
    axes: Axes,
    table: pd.DataFrame,
    metric: str,
    labels: dict[str, str],
    predicted: Collection[str] = (),
) -> None:
    """Points of each method, joined where no theory is."""
    for method in style.ordered(table["method"].unique()):
        line = table[table["method"] == method]
        look = style.of_method(method, labels)
        if method in predicted:
            look["linestyle"] = "none"
        axes.errorbar(
            line["kappa_x"], line[metric], yerr=line[f"{metric}_error"], elinewidth=0.7, **look
        )
    axes.set_xscale("log")


def _baselines(axes: Axes, table: pd.DataFrame) -> None:
    """What needs no method, from the rows of one."""
    for (column, name), dashes in zip(BASELINES.items(), ("--", ":"), strict=True):
        axes.plot(table["kappa_x"], table[column], color=style.GREY, ls=dashes, label=name)
