"""How iterations grow with each condition number: every method's exponent with its interval."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.claims.claim import NotMeasuredError
from layerwise.claims.interval import recentred, resamples
from layerwise.claims.rates import exponent
from layerwise.claims.statistics import by_seed
from layerwise.figures import style
from layerwise.results.selection import chosen_runs

READS = {"summary": ["kappa_x", "kappa_f", "iterations"], "selection": []}
EXPERIMENT = "condition_study"
# The values over which a slope is taken: the top decade and the top half-decade.
SPANS = {"kappa_x": (100.0, 1000.0), "kappa_f": (3.16, 10.0)}
NAMES = {
    "kappa_x": r"exponent in $\kappa_x$, from 100 to 1000",
    "kappa_f": r"exponent in $\kappa_F$, from $\sqrt{10}$ to 10",
}
GUIDES = {"kappa_x": (0, 0.5, 1), "kappa_f": (0, 1, 2)}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each condition number, a row for each method; an arrow where the target is not reached
    at every value."""
    drawn = exponents(chosen_runs(tables["summary"], tables["selection"]))
    methods = style.ordered(drawn["method"].unique())[::-1]
    figure, grid = plt.subplots(1, len(SPANS), figsize=(style.WIDTH, 0.24 * len(methods) + 1.0),
                                sharey=True)  # fmt: skip
    for axes, along in zip(grid, SPANS, strict=True):
        for guide in GUIDES[along]:
            axes.axvline(guide, color=style.GREY, lw=0.8, ls="--", zorder=0)
        own = drawn[drawn["along"] == along].set_index("method")[["exponent", "low", "high"]]
        for place, method in enumerate(methods):
            look = style.of_method(method, labels)
            found = own.reindex([method]).to_numpy()[0]
            if not np.isfinite(found[0]):
                axes.annotate("not reached", (0.98, place), xycoords=("axes fraction", "data"),
                              ha="right", va="center", fontsize=6.5)  # fmt: skip
                continue
            value, low, high = found
            axes.plot([low, high], [place, place], color=look["color"], lw=1.2)
            axes.plot(value, place, marker=look["marker"], color=look["color"])
        axes.set(xlabel=NAMES[along])
    grid[0].set_yticks(range(len(methods)), [labels[method] for method in methods])
    grid[0].set_ylim(-0.7, len(methods) - 0.3)  # room for words in the first and last row
    return figure, drawn


def exponents(runs: pd.DataFrame) -> pd.DataFrame:
    """Each method's exponents with their 95 % bootstrap intervals, the other condition number being the
    smallest; infinite or NaN where the target is not reached."""
    rows = []
    for along, other in (("kappa_x", "kappa_f"), ("kappa_f", "kappa_x")):
        for method, own in runs[runs[other] == runs[other].min()].groupby("method", sort=False):
            statistic = exponent(*SPANS[along])
            wide = by_seed(own, "iterations", along)
            try:
                value = statistic(wide)
            except NotMeasuredError:
                value = float("nan")
            low = high = value
            if np.isfinite(value):
                low, high = recentred(value, resamples(wide, statistic))
            rows.append((along, method, value, low, high))
    return pd.DataFrame(rows, columns=["along", "method", "exponent", "low", "high"])
