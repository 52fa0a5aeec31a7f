"""`make bench`: how the time of a run's step grows with the dimension, from first to second order."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from layerwise.figures import style

READS: dict[str, list[str]] = {"second_order": []}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Medians on one thread, with quartiles over rounds, against d_x."""
    table = tables["second_order"]
    drawn = table[table["threads"] == 1]
    figure, axes = plt.subplots(figsize=(style.COLUMN, 2.6))
    for method in style.ordered(drawn["method"].unique()):
        own = drawn[drawn["method"] == method]
        spread = [own["median"] - own["low"], own["high"] - own["median"]]
        axes.errorbar(own["value"], 1e3 * own["median"], yerr=[1e3 * part for part in spread],
                      elinewidth=0.7, **style.of_method(method, labels))  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="input dimension $d_x$")
    axes.set_ylabel("time of a step of one run, ms")
    axes.set_xticks(sorted(drawn["value"].unique()), minor=False)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(plt.NullLocator())
    style.legend_below(figure, axes, columns=2)
    return figure, drawn
