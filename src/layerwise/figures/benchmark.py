"""`make bench`: speed-ups over a plain PyTorch loop, and how a step's time grows with the work."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import style

READS: dict[str, list[str]] = {"engines": [], "scaling": []}
ENGINES = {
    ("plain, batched over seeds", "float32"): style.GREY,
    ("batches", "float32"): style.SKY,
    ("batches", "float64"): style.BLUE,
    ("moments", "float32"): style.ORANGE,
    ("moments", "float64"): style.RED,
}
AXES: dict[str, dict[str, Any]] = {
    "n": {"color": style.RED, "marker": "o"},
    "d_x": {"color": style.BLUE, "marker": "s"},
    "seeds": {"color": style.GREEN, "marker": "^"},
    "step sizes": {"color": style.ORANGE, "marker": "D"},
}
LINES = {"sgd": "--", "kfac": "-"}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """On one thread. Left: speed-ups, with quartiles over rounds. Right: a step's time against each size,
    by the size that the others hold."""
    engines, scaling = (
        tables[name][tables[name]["threads"] == 1] for name in ("engines", "scaling")
    )
    speed_ups = engines[engines["unit"] == "1"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 3.2))
    _bars(left, speed_ups, labels)
    _curves(right, scaling, labels)
    return figure, pd.concat([speed_ups, scaling], ignore_index=True)


def _error(table: pd.DataFrame) -> np.ndarray:
    return np.array([table["median"] - table["low"], table["high"] - table["median"]])


def _bars(axes: Axes, speed_ups: pd.DataFrame, labels: dict[str, str]) -> None:
    methods = style.ordered(speed_ups["method"].unique())
    width = 0.8 / len(ENGINES)
    for place, ((engine, dtype), colour) in enumerate(ENGINES.items()):
        own = speed_ups[(speed_ups["engine"] == engine) & (speed_ups["dtype"] == dtype)]
        own = own.set_index("method").loc[methods]
        x = np.arange(len(methods)) + (place - 0.5 * (len(ENGINES) - 1)) * width
        axes.bar(x, own["median"], width, yerr=_error(own), color=colour, label=f"{engine}, {dtype}",
                 error_kw={"elinewidth": 0.7})  # fmt: skip
    axes.axhline(1.0, color=style.BLACK, lw=0.8)
    axes.set_xticks(np.arange(len(methods)), [labels[method] for method in methods])
    axes.set(yscale="log", ylabel="speed-up over a plain loop")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)


def _curves(axes: Axes, scaling: pd.DataFrame, labels: dict[str, str]) -> None:
    for (axis, look), (method, line) in product(AXES.items(), LINES.items()):
        own = scaling[(scaling["axis"] == axis) & (scaling["method"] == method)]
        axes.errorbar(
            own["relative"], 1e3 * own["median"], yerr=1e3 * _error(own), elinewidth=0.7, ls=line,
            label=f"{axis}, {labels[method]}", **look,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="size, by that of the default problem")
    axes.set_ylabel("time of a step of all runs, ms")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
