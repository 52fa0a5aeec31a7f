"""The time of the moment engine's step against the sizes of the work."""

from typing import Any

import numpy as np
import pandas as pd

from layerwise.benchmark.sizes import AXES, Sizes, changed, configured
from layerwise.benchmark.step import moment_step
from layerwise.benchmark.timing import clock_of, interleaved, row
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.linear_representation import LinearTask

SCALED = ("sgd", "kfac")
SECOND_ORDER = ("sgd", "kfac", "gauss_newton", "newton")


def measure(sizes: Sizes, threads: int, device: str) -> pd.DataFrame:
    """Seconds of a step against each size; ``relative`` is the axis's value by the one that the other
    axes hold."""
    bases = {method: configured(sizes, method, f"device={device}") for method in SCALED}
    rows: list[dict[str, Any]] = []
    for axis, values in sizes.axes.items():
        works = {
            (method, value): moment_step(changed(base, AXES[axis], _setting(axis, value)))
            for method, base in bases.items()
            for value in values
        }
        seconds = interleaved(works, sizes.rounds, sizes.least_seconds, clock_of(device))
        for (method, value), taken in seconds.items():
            keys = {"method": method, "axis": axis, "value": value}
            keys |= {"relative": value / held(axis, bases[method]), "dtype": "float64"}
            keys |= {"device": device, "threads": threads, "rounds": sizes.rounds}
            rows.append(row(keys, "step", taken, "s"))
    return pd.DataFrame(rows)


def second_order(sizes: Sizes, threads: int, device: str) -> pd.DataFrame:
    """Seconds of a single run's step against d_x, of methods from first to second order."""
    works = {}
    small = ("task.d_y=8", "task.rank=4", "seeds=1", "method.lr=[0.1]")
    for method in SECOND_ORDER:
        base = configured(sizes, method, f"device={device}", *small)
        if base.method.card.takes_damping:
            base = changed(base, "method.damping", [0.001])
        for d_x in sizes.dense_d_x:
            works[method, d_x] = moment_step(changed(base, AXES["d_x"], d_x))
    seconds = interleaved(works, sizes.rounds, sizes.least_seconds, clock_of(device))
    rows = []
    for (method, d_x), taken in seconds.items():
        keys = {"method": method, "axis": "d_x", "value": d_x, "dtype": "float64"}
        keys |= {"device": device, "threads": threads, "rounds": sizes.rounds}
        rows.append(row(keys, "step of a run", taken, "s"))
    return pd.DataFrame(rows)


def held(axis: str, settings: RunSettings) -> int:
    """The size along an axis."""
    assert isinstance(settings.task, LinearTask)
    values = {
        "n": settings.task.batch_size,
        "d_x": settings.task.d_x,
        "seeds": len(settings.seeds),
        "step sizes": len(settings.method.lr),
    }
    return values[axis]


def _setting(axis: str, value: int) -> int | list[float]:
    return np.geomspace(0.01, 0.1, value).tolist() if axis == "step sizes" else value
