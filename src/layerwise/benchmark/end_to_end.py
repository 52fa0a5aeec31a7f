"""The data of the main comparison figure: by plain loops, by plain loops batched over seeds, and by this
package, as the pipeline has it made."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from layerwise.benchmark.engines import BATCHED, PLAIN, Contender, Engine, plain
from layerwise.benchmark.sizes import METHODS, Sizes
from layerwise.benchmark.timing import clock_of, interleaved, row
from layerwise.data.instances import draw
from layerwise.planning.jobs import Cell, Job
from layerwise.planning.plan import plan
from layerwise.settings.memory import runs
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.linear_representation import LinearTask
from layerwise.tasks.run import run_job

FIGURE = "head_to_head"
# Between two measurements of a plain loop.
EVERY = 10


def measure(sizes: Sizes, threads: int, device: str) -> pd.DataFrame:
    """Seconds of all runs of the figure, tuning included, of the methods that have a plain loop. Those of
    the package are timed whole; of the plain loops a part is, and counted as often as it goes into the
    whole."""
    cells = figure_cells(sizes, device)
    whole = Engine("this package", cells[0].settings.dtype)
    parts = {
        (engine, place): contender
        for place, cell in enumerate(cells)
        for engine, contender in plain_parts(cell.settings, sizes).items()
    }
    works: dict[Any, Callable[[], object]] = {key: one.work for key, one in parts.items()}
    works[whole, 0] = partial(_run, cells)
    seconds = interleaved(works, sizes.rounds, sizes.least_seconds, clock_of(device))
    steps = {place: cell.settings.steps * runs(cell.settings) for place, cell in enumerate(cells)}
    total = {whole: seconds[whole, 0]}
    for engine in (PLAIN, BATCHED):
        own = [(place, parts[engine, place]) for place in range(len(cells))]
        each = [
            seconds[engine, place] * (steps[place] / (one.steps * one.runs)) for place, one in own
        ]
        total[engine] = np.sum(each, axis=0)
    rows: list[dict[str, Any]] = []
    for engine, taken in total.items():
        keys = {
            "figure": FIGURE, "engine": engine.name, "dtype": engine.dtype, "device": device,
            "threads": threads, "rounds": sizes.rounds, "methods": ", ".join(METHODS),
            "runs": sum(runs(cell.settings) for cell in cells),
            "extrapolated": engine != whole,
        }  # fmt: skip
        rows += [
            row(keys, "all runs of the figure", taken, "s"),
            row(keys, "speed-up over the plain loop", total[PLAIN] / taken, "1"),
        ]
    return pd.DataFrame(rows)


def figure_cells(sizes: Sizes, device: str) -> list[Cell]:
    """The figure's cells of METHODS, on Gaussian inputs."""
    scale, overrides = sizes.figure
    found = plan(FIGURE, scale, [*overrides, f"device={device}"]).cells
    return [
        cell
        for cell in found
        if cell.settings.method.name in METHODS and cell.settings.task.inputs == "gaussian"
    ]


def plain_parts(settings: RunSettings, sizes: Sizes) -> dict[Engine, Contender]:
    """What is timed of a cell's plain loops: one run, and one step size of all reporting seeds."""
    assert isinstance(settings.task, LinearTask)
    drawn = draw(settings.task, settings.seeds)
    work = partial(plain, settings, drawn)
    return {
        PLAIN: Contender(1, sizes.steps, work(sizes.steps, EVERY, one_seed=True)),
        BATCHED: Contender(
            len(settings.seeds), sizes.raw_steps, work(sizes.raw_steps, EVERY, one_seed=False)
        ),
    }


def _run(cells: list[Cell]) -> None:
    """A job of the cells, its instances, table and record included."""
    with TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        run_job(json.loads(Job(tuple(cells)).content), None, Path(folder) / "runs.parquet")
