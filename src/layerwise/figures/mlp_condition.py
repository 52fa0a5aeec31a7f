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
        "kappa_x", "directions", "test_error", "subspace_gap", "transfer_error",
        "transfer_error_isotropic",
    ],
    "selection": [],
}  # fmt: skip
LAWS = {"whitened": r"isotropic in $\Sigma_x^{-1/2}x$", "raw": "isotropic in $x$"}
BY = ["problem", "kappa_x", "directions", "method", "damping", "lr"]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A row for each law of the teacher's directions, a column for each metric, after the last step."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in METRICS], ignore_index=True
    )
    laws = [law for law in LAWS if law in set(drawn["directions"])]
    figure, grid = plt.subplots(
        len(laws), len(METRICS), figsize=(style.WIDTH, 2.1 * len(laws) + 1.1), squeeze=False,
        sharex=True, sharey="col",
    )  # fmt: skip
    for row, law in zip(grid, laws, strict=True):
        for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
            here = drawn[(drawn["metric"] == metric) & (drawn["directions"] == law)]
            axes.set_yscale("log")
            panels.lines_with_bands(axes, here, "kappa_x", labels)
            panels.label_values(axes, drawn["kappa_x"])
            axes.set_title(name)
        row[0].set_ylabel(LAWS[law])
    for axes in grid[-1]:
        axes.set_xlabel(r"$\kappa_x$")
    style.legend_below(figure, grid[0, 0], columns=4)
    return figure, drawn
