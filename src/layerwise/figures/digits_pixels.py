"""Labelings of digits, and transfer to their classes, from pixels as they are and standardised."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.figures.digits_mixed import METRICS
from layerwise.results.selection import bands, chosen_runs

READS = {
    "summary": ["inputs", "test_error", "transfer_error", "transfer_error_inputs"],
    "selection": [],
}
BY = ["problem", "inputs", "method", "damping", "lr"]


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each error, a group of points for each kind of inputs; grey is a readout on the inputs
    themselves."""
    runs = chosen_runs(tables["summary"], tables["selection"])
    names = [*METRICS, "transfer_error_inputs"]
    drawn = pd.concat(
        [bands(runs, BY, metric).assign(metric=metric) for metric in names], ignore_index=True
    )
    kinds = list(drawn["inputs"].unique())
    methods = style.ordered(drawn["method"].unique())
    figure, row = plt.subplots(1, len(METRICS), figsize=(style.WIDTH, 2.7))
    for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
        axes.set(ylabel=name)
        axes.set_xticks(range(len(kinds)), kinds)
        for method, shift in zip(methods, np.linspace(-0.3, 0.3, len(methods)), strict=True):
            here = drawn[(drawn["metric"] == metric) & (drawn["method"] == method)]
            _points(axes, here, kinds, shift, style.of_method(method, labels))
    own = panels.finite(drawn[drawn["metric"] == "transfer_error_inputs"])
    own = own.drop_duplicates("inputs")
    places = np.array([kinds.index(kind) for kind in own["inputs"]])
    row[1].hlines(
        own["median"], places - 0.4, places + 0.4, color=style.GREY, ls="--", label="inputs"
    )
    for axes in row:
        axes.set_ylim(bottom=0)
    style.legend_below(figure, row[1], columns=4)
    return figure, drawn


def _points(
    axes: Axes, table: pd.DataFrame, kinds: list[str], shift: float, look: dict[str, Any]
) -> None:
    """A point with its quartiles for each kind of inputs; what is infinite has no place."""
    line = panels.finite(table)
    spread = np.array([line["median"] - line["low"], line["high"] - line["median"]])
    places = [kinds.index(kind) + shift for kind in line["inputs"]]
    axes.errorbar(places, line["median"], yerr=spread, **look | {"linestyle": ""}, elinewidth=0.7)
