"""The floor of the subspace distance, and the rate, against the batch size."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs

READS = {
    "summary": ["kappa_x", "kappa_f", "batch_size", "subspace_distance", "steps_to_target"],
    "selection": [],
}
METHODS = ["kfac"]
BY = ["problem", "kappa_x", "kappa_f", "batch_size", *VARIANT]


def _fewest(summary: pd.DataFrame) -> pd.DataFrame:
    """For each method and problem the variant with the fewest iterations, among those without a
    diverged seed."""
    passages = bands(summary, BY, "steps_to_target")
    diverged = summary.assign(diverged=summary["status"] != "ok").groupby(BY)["diverged"].any()
    passages["median"] = passages["median"].mask(
        diverged.reindex(pd.MultiIndex.from_frame(passages[BY])).to_numpy(), np.inf
    )
    return passages.sort_values("median", kind="stable").drop_duplicates(["problem", "method"])


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Left: the smallest final distance, with the slope of n^(-1/2); right: the fewest iterations."""
    summary = tables["summary"]
    floor = bands(chosen_runs(summary, tables["selection"]), BY, "subspace_distance")
    passage = _fewest(summary)
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 2.9))
    panels.over_setting(left, floor, "batch_size", labels)
    panels.over_setting(right, passage.assign(median=passage["median"].clip(lower=1)), "batch_size",
                        labels)  # fmt: skip
    sizes = np.sort(floor["batch_size"].unique())
    last = floor[floor["method"] == "kfac"].sort_values("batch_size")["median"].iloc[-1]
    left.plot(
        sizes, last * np.sqrt(sizes[-1] / sizes), color=style.GREY, ls=":", zorder=1,
        label=r"slope $n^{-1/2}$",
    )  # fmt: skip
    left.set(xlabel="batch size $n$", ylabel="subspace distance at the end")
    right.set(xlabel="batch size $n$", ylabel="iterations to the target distance")
    style.legend_below(figure, left, columns=5)
    return figure, pd.concat(
        [floor.assign(metric="subspace_distance"), passage.assign(metric="steps_to_target")],
        ignore_index=True,
    )
