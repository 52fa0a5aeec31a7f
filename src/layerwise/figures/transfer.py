"""Transfer loss against the number of samples that the head is refitted on."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs

READS = {
    "summary": [
        "kappa_x", "kappa_f", "noise", "d_y", "rank", "n_transfer", "transfer_loss",
    ],
    "selection": [],
}  # fmt: skip


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A line for each method's features, and the expected loss with the true ones."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    runs = runs.assign(
        true_features=runs["noise"] ** 2 * runs["d_y"] * runs["rank"]
        / (2 * (runs["n_transfer"] - runs["rank"] - 1))
    )  # fmt: skip
    by = ["problem", "kappa_x", "kappa_f", "n_transfer", "true_features", *VARIANT]
    drawn = bands(runs, by, "transfer_loss")
    figure, axes = plt.subplots(figsize=(style.COLUMN, 3.4))
    panels.over_setting(axes, drawn, "n_transfer", labels)
    oracle = drawn.drop_duplicates("n_transfer").sort_values("n_transfer")
    oracle = oracle[np.isfinite(oracle["true_features"]) & (oracle["true_features"] > 0)]
    axes.plot(
        oracle["n_transfer"], oracle["true_features"], color=style.GREY, ls="--", zorder=1,
        label="true features",
    )  # fmt: skip
    axes.set(xlabel="samples of the transfer task", ylabel="transfer loss")
    style.legend_below(figure, axes, columns=2)
    return figure, drawn
