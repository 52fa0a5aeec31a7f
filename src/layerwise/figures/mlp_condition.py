"""Students of a teacher against κ_x: error, subspace gap and transfer, for both laws of its directions."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands, chosen_runs

METRICS = {
    "test_error": "test error over the noise",
    "subspace_gap": "subspace gap",
    "transfer_error": r"transfer error, same $\Sigma_x$",
    "transfer_error_isotropic": r"transfer error, $\Sigma_x = I$",
}
READS = {
    "summary": [
        "kappa_x", "directions", "basis", "test_error", "subspace_gap", "transfer_error",
        "transfer_error_isotropic",
    ],
    "selection": [],
}  # fmt: skip
# A row's label by the law of the teacher's directions and the basis of the inputs' covariance.
ROWS = {
    ("whitened", "rotated"): "teacher isotropic\n" + r"in $\Sigma_x^{-1/2}x$",
    ("whitened", "axis"): "teacher isotropic\n" + r"in $\Sigma_x^{-1/2}x$, $\Sigma_x$ diagonal",
    ("raw", "rotated"): "teacher isotropic\n" + "in $x$",
    ("raw", "axis"): "teacher isotropic\n" + r"in $x$, $\Sigma_x$ diagonal",
}
BY = ["problem", "kappa_x", "directions", "basis", "method", "damping", "lr"]


def draw(
    tables: dict[str, pd.DataFrame], labels: dict[str, str], newer: bool = False
) -> tuple[Figure, pd.DataFrame]:
    """A column for each metric, after the last step; a row for each law of the teacher's directions and
    each basis, and for further groups of methods, of the first law. Optimisers ``newer`` than the paper
    are drawn apart."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in METRICS], ignore_index=True
    )
    kinds = set(zip(drawn["directions"], drawn["basis"], strict=True))
    laws = [kind for kind in ROWS if kind in kinds]
    groups = style.in_panels(style.newer_apart(drawn["method"].unique(), newer))
    rows = [(law, groups[0]) for law in laws] + [(laws[0], methods) for methods in groups[1:]]
    figure, grid = plt.subplots(
        len(rows), len(METRICS), figsize=(style.WIDTH, 2.1 * len(rows) + 1.1), squeeze=False,
        sharex=True, sharey="col",
    )  # fmt: skip
    for row, ((law, basis), methods) in zip(grid, rows, strict=True):
        own = drawn[drawn["method"].isin(methods)]
        for axes, metric in zip(row, METRICS, strict=True):
            here = _row(own[own["metric"] == metric], law, basis)
            axes.set_yscale("log")
            panels.lines_with_bands(axes, here, "kappa_x", labels)
            panels.label_values(axes, drawn["kappa_x"])
        row[0].set_ylabel(ROWS[law, basis])
    for axes, name in zip(grid[0], METRICS.values(), strict=True):
        axes.set_title(name)
    for axes in grid[-1]:
        axes.set_xlabel(r"$\kappa_x$")
    style.legend_below(figure, *grid[:, 0], columns=4)
    return figure, drawn


def _row(drawn: pd.DataFrame, law: str, basis: str) -> pd.DataFrame:
    """The points of a row. At kappa_x = 1 all are one problem: a row that lacks it has another's."""
    own = drawn[(drawn["directions"] == law) & (drawn["basis"] == basis)]
    if (own["kappa_x"] == 1).any():
        return own
    return pd.concat([drawn[drawn["kappa_x"] == 1], own])
