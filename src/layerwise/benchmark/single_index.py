"""The time of a run on single-index data, and how much of it goes into measuring what was learnt."""

from functools import partial
from typing import Any

import pandas as pd

from layerwise.benchmark.sizes import METHODS, Sizes, on_single_index
from layerwise.benchmark.timing import clock_of, interleaved, row
from layerwise.settings.run import RunSettings
from layerwise.tasks.run import run_table

QUANTITIES = ("run", "run, measured at its ends alone")


def measure(sizes: Sizes, threads: int, device: str) -> pd.DataFrame:
    """Seconds of a run, of a method's runs with all step sizes and dampings."""
    settings: dict[tuple[str, str], RunSettings] = {}
    for method in METHODS:
        often = on_single_index(sizes, method, f"device={device}")
        seldom = often.model_copy(update={"record_every": often.steps})
        pairs = zip(QUANTITIES, (often, seldom), strict=True)
        settings |= {(method, what): one for what, one in pairs}
    works = {key: partial(run_table, one) for key, one in settings.items()}
    seconds = interleaved(works, sizes.rounds, sizes.least_seconds, clock_of(device))
    rows: list[dict[str, Any]] = []
    for (method, what), taken in seconds.items():
        one = settings[method, what]
        runs = len(one.seeds) * len(one.method.lr) * max(len(one.method.damping), 1)
        keys = {
            "method": method, "steps": one.steps, "runs": runs, "dtype": one.dtype,
            "device": device, "threads": threads, "rounds": sizes.rounds,
        }  # fmt: skip
        rows.append(row(keys, what, taken / runs, "s"))
    return pd.DataFrame(rows)
