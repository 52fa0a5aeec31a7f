"""Samples to the target subspace distance against the batch size."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.data.covariance import spectrum
from layerwise.figures import panels, style
from layerwise.results.selection import VARIANT, bands, chosen_runs
from layerwise.settings.rule import rule_card
from layerwise.theory.kfac_noise import samples_to_distance

READS = {
    "summary": [
        "kappa_x",
        "kappa_f",
        "batch_size",
        "iterations",
        "target",
        "noise",
        "spectrum",
        "d_x",
        "rank",
    ],
    "selection": [],
}
BY = ["problem", "kappa_x", "kappa_f", "batch_size", *VARIANT]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Left: samples, iterations times n times the batches of a step; right: iterations."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    batches = {
        rule: rule_card(rule).batches if rule.count(".") == 1 else 1
        for rule in runs["rule"].unique()
    }
    used = runs["batch_size"] * runs["rule"].map(batches)
    runs = runs.assign(samples=runs["iterations"] * used)
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in ("samples", "iterations")],
        ignore_index=True,
    )
    first = runs.iloc[0]
    target = first["target"]
    figure, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 3.0))
    for panel, (metric, name) in zip(
        axes, (("samples", "samples"), ("iterations", "iterations $T$")), strict=True
    ):
        own = drawn[drawn["metric"] == metric]
        budget = own.loc[np.isfinite(own["median"]), "median"].max()
        panels.passages(panel, own, "batch_size", labels, budget)
        panel.set(xlabel="batch size $n$", ylabel=f"{name} to a distance of {target:g}")
    one_batch = samples_to_distance(
        target, first["noise"], spectrum(first["spectrum"], first["d_x"], first["kappa_x"]),
        np.geomspace(1, 1 / first["kappa_f"], int(first["rank"])),
    )  # fmt: skip
    axes[0].axhline(one_batch, color=style.GREY, ls="--", label="least squares on one batch")
    axes[0].axvline(first["d_x"], color=style.GREY, lw=0.7, ls=":", label="$n = d$")
    style.legend_below(figure, axes[0], columns=4)
    return figure, drawn.assign(one_batch=one_batch)
