"""Final distance against the step size, for each method by itself, and how wide a range ends well."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style
from layerwise.results.selection import VARIANT, bands, decades_within

READS = {"summary": ["regime", "kappa_x", "kappa_f", "subspace_distance", "distance_theory"]}
BY = ["problem", "regime", "kappa_x", "kappa_f", *VARIANT]
BOUND = 0.1  # a distance that ends well


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A small panel for each method: the step size over the largest one with which no seed diverges."""
    drawn = finals(tables["summary"])
    methods = style.ordered(drawn["method"].unique())
    columns = min(4, len(methods))
    rows = -(-len(methods) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(style.WIDTH, 1.75 * rows + 0.5), sharex=True,
                                sharey=True, squeeze=False)  # fmt: skip
    for axes in grid.ravel()[len(methods) :]:
        axes.set_visible(False)
    regimes = list(drawn["regime"].unique())
    for axes, method in zip(grid.ravel(), methods, strict=False):
        for regime, line_style in zip(regimes, ("-", "--", ":"), strict=False):
            own = drawn[(drawn["method"] == method) & (drawn["regime"] == regime)]
            _panel(
                axes, own.sort_values("lr"), style.of_method(method, labels)["color"], line_style
            )
        wide = drawn[drawn["method"] == method].drop_duplicates("regime").set_index("regime")
        widths = ", ".join(f"{wide.loc[regime, 'decades']:.2g}" for regime in regimes)
        axes.set_title(f"{labels[method]}\n{widths} decades", fontsize=7)
        axes.axhline(BOUND, color=style.GREY, lw=0.7)
    for axes in grid[:, 0]:
        axes.set_ylabel("distance")
    for axes in grid[-1]:
        axes.set_xlabel(r"$\eta/\eta_{\max}$")
    handles = [
        plt.Line2D([], [], color=style.BLACK, ls=ls) for ls in ("-", "--", ":")[: len(regimes)]
    ]
    first = drawn.drop_duplicates("regime")
    names = [
        rf"{regime}: $\kappa_x={kappa_x:g}$, $\kappa_F={kappa_f:g}$"
        for regime, kappa_x, kappa_f in zip(
            first["regime"], first["kappa_x"], first["kappa_f"], strict=True
        )
    ]
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure, drawn


def finals(summary: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over seeds of the last distance, infinite where any seed diverged; ``lr_max``,
    the largest step size with which none does, and ``decades`` that end within BOUND."""
    diverged = summary["status"].ne("ok").groupby([summary[key] for key in BY]).transform("any")
    masked = summary.assign(subspace_distance=summary["subspace_distance"].mask(diverged))
    drawn = bands(masked, BY, "subspace_distance")
    theory = summary.groupby(BY, sort=False)["distance_theory"].median().rename("theory")
    drawn = drawn.merge(theory.reset_index(), on=BY)
    best = drawn.sort_values("median", kind="stable").drop_duplicates(["problem", "method"])
    keys = ["problem", "method", "damping"]
    drawn = drawn.merge(best[keys], on=keys)  # of several dampings the best
    parts = []
    for _, line in drawn.groupby(["problem", "method"], sort=False):
        ordered = line.sort_values("lr")
        lr, median = ordered["lr"].to_numpy(), ordered["median"].to_numpy()
        stable = lr[np.isfinite(median)]
        parts.append(
            ordered.assign(
                lr_max=stable.max() if len(stable) else np.nan,
                decades=decades_within(lr, median, BOUND),
            )
        )
    return pd.concat(parts, ignore_index=True)


def _panel(axes: Axes, line: pd.DataFrame, colour: str, line_style: str) -> None:
    """A regime's line, shaded where it ends well, and a cross on top for what diverges."""
    x = line["lr"] / line["lr_max"]
    median = line["median"].where(np.isfinite(line["median"]))
    axes.set(xscale="log", yscale="log")
    axes.plot(x, median, color=colour, ls=line_style, marker="o", ms=2.5)
    axes.fill_between(x, line["low"].where(median.notna()), line["high"].where(median.notna()),
                      color=colour, alpha=0.15, lw=0)  # fmt: skip
    axes.fill_between(x, median, BOUND, where=(median <= BOUND).to_numpy(), color=colour, alpha=0.15,
                      lw=0, interpolate=True)  # fmt: skip
    theory = line["theory"].notna()
    axes.plot(x[theory], line.loc[theory, "theory"], color=style.BLACK, ls=line_style, lw=0.8)
    lost = x[median.isna() & x.notna()]
    if len(lost):  # a line without points would still claim space, at the figure's corner
        axes.plot(lost, np.full(len(lost), 1.0), ls="", marker="x", ms=4, color=colour,
                  clip_on=False, transform=axes.get_xaxis_transform())  # fmt: skip
