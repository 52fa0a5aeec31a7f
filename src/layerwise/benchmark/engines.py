"""The same work by the plain loop, by that loop batched over seeds, and by the package's two engines."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import torch

from layerwise.benchmark.plain import PlainLoop
from layerwise.benchmark.sizes import METHODS, Sizes, configured
from layerwise.benchmark.timing import clock_of, interleaved, row
from layerwise.data.instances import Instances, draw
from layerwise.data.population import populations
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.linear_representation import LinearTask
from layerwise.tasks.linear_representation import simulate


class Engine(NamedTuple):
    """What does the work, in which precision."""

    name: str
    dtype: str


class Contender(NamedTuple):
    """``work`` takes ``steps`` steps of ``runs`` of a method's runs; runs are independent, and so the
    others would take as long again."""

    runs: int
    steps: int
    work: Callable[[], object]


PLAIN = Engine("plain", "float32")
BATCHED = Engine("plain, batched over seeds", "float32")


def contenders(method: str, sizes: Sizes, device: str) -> dict[Engine, Contender]:
    """A method's contenders. In the plain loops' favour, the engines measure all metrics where those
    measure the subspace distance alone, draw a batch more, and make a table."""
    settings = configured(sizes, method, f"device={device}")
    seeds, steps, raw = len(settings.seeds), sizes.steps, sizes.raw_steps
    every = settings.record_every
    assert isinstance(settings.task, LinearTask) and isinstance(every, int)
    drawn = draw(settings.task, settings.seeds)
    runs = seeds * len(settings.method.lr)
    found = {
        PLAIN: Contender(1, steps, plain(settings, drawn, steps, every, one_seed=True)),
        BATCHED: Contender(seeds, raw, plain(settings, drawn, raw, every, one_seed=False)),
    }
    for engine, taken in (("batches", raw), ("moments", steps)):
        for dtype in ("float32", "float64"):
            own = settings.model_copy(update={"engine": engine, "dtype": dtype, "steps": taken})
            found[Engine(engine, dtype)] = Contender(runs, taken, partial(simulate, [own], [drawn]))
    return found


def plain(
    settings: RunSettings, drawn: Instances, steps: int, every: int, one_seed: bool
) -> Callable[[], object]:
    """The plain loop at the smallest step size, with which no run diverges."""
    task = settings.task
    assert isinstance(task, LinearTask)
    population, _ = populations(drawn, task.noise, torch.float32, settings.device)
    features, head = (
        torch.as_tensor(array, dtype=torch.float32, device=settings.device)
        for array in (drawn.features_init, drawn.head_init)
    )
    loop = PlainLoop(population, features, head, task.batch_size, one_seed)
    method = settings.method
    return partial(loop.train, method.name, min(method.lr), steps, every)


def measure(sizes: Sizes, threads: int, device: str) -> pd.DataFrame:
    """Seconds for a step of all of a method's runs, and the plain loop's by it in the same round."""
    rows: list[dict[str, Any]] = []
    for method in METHODS:
        found = contenders(method, sizes, device)
        works = {engine: contender.work for engine, contender in found.items()}
        seconds = interleaved(works, sizes.rounds, sizes.least_seconds, clock_of(device))
        runs = max(contender.runs for contender in found.values())
        a_step = {
            engine: seconds[engine] / own.steps * (runs / own.runs) for engine, own in found.items()
        }
        for engine, own in found.items():
            keys = {
                "method": method, "engine": engine.name, "dtype": engine.dtype, "device": device,
                "threads": threads, "rounds": sizes.rounds, "runs": runs, "timed_runs": own.runs,
                "timed_steps": own.steps,
            }  # fmt: skip
            speed_up = a_step[PLAIN] / a_step[engine]
            rows += [
                row(keys, "step of all runs", a_step[engine], "s"),
                row(keys, "speed-up over the plain loop", speed_up, "1"),
            ]
    return pd.DataFrame(rows)
