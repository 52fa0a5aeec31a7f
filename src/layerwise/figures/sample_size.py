"""The floor of the subspace distance against the batch size, and KFAC's over its closed form."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs

READS = {
    "summary": ["kappa_x", "kappa_f", "batch_size", "subspace_distance", "floor_theory"],
    "selection": [],
}
METHODS = ["kfac"]
BY = ["problem", "kappa_x", "kappa_f", "batch_size", *VARIANT]
FIXED = 0.1  # the step size whose floor is compared with its closed form


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Left: the smallest final distance, with KFAC's floor at FIXED in closed form; right: the ratio."""
    summary = tables["summary"]
    floor = bands(chosen_runs(summary, tables["selection"]), BY, "subspace_distance")
    known = summary[(summary["method"] == "kfac") & np.isclose(summary["lr"], FIXED)]
    known = known[known["floor_theory"].notna()]
    fixed = known.assign(ratio=known["subspace_distance"] / known["floor_theory"])
    parts = [floor.assign(metric="subspace_distance")]
    parts += [
        bands(fixed, BY, metric).assign(metric=metric)
        for metric in ("floor_theory", "ratio")
        if len(fixed)
    ]
    drawn = pd.concat(parts, ignore_index=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 2.9))
    panels.over_setting(left, floor, "batch_size", labels)
    theory = drawn[drawn["metric"] == "floor_theory"].sort_values("batch_size")
    left.plot(theory["batch_size"], theory["median"], color=style.BLACK, lw=0.9, ls="--", zorder=1,
              label=rf"KFAC's floor at $\eta={FIXED:g}$, closed form")  # fmt: skip
    panels.over_setting(
        right, drawn[drawn["metric"] == "ratio"], "batch_size", labels, scale="linear"
    )
    right.axhline(1, color=style.GREY, lw=0.8)
    left.set(xlabel="batch size $n$", ylabel="subspace distance at the end")
    right.set(xlabel="batch size $n$", ylabel=rf"floor at $\eta={FIXED:g}$ over the closed form")
    style.legend_below(figure, left, columns=3)
    return figure, drawn
