"""Timing side by side: whatever the machine does meanwhile happens to all contenders."""

import math
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

Key = TypeVar("Key", bound=Hashable)
Work = Callable[[], object]
Clock = Callable[[], float]


class Spread(NamedTuple):
    """Median and quartiles over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Spread":
        """The spread of values (rounds,)."""
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        return cls(float(median), float(low), float(high))


def row(keys: Mapping[str, Any], quantity: str, values: np.ndarray, unit: str) -> dict[str, Any]:
    """A line of a benchmark's table: what was measured (rounds,), and its spread."""
    return {**keys, "quantity": quantity, **Spread.of(values)._asdict(), "unit": unit}


def clock_of(device: str) -> Clock:
    """A clock in seconds that waits for what the device still has to do."""

    def on_cuda() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return on_cuda if device == "cuda" else time.perf_counter


def interleaved(
    works: Mapping[Key, Work], rounds: int, least: float, clock: Clock
) -> dict[Key, np.ndarray]:
    """Seconds of a call of each work in each round, (rounds,).

    Each round has every work once, repeated until it takes about ``least`` seconds, and starts one
    work further on. All are called before the first round, so that none is timed cold.
    """
    keys = list(works)
    calls = {key: _calls(works[key], least, clock) for key in keys}
    seconds = {key: np.empty(rounds) for key in keys}
    for number in range(rounds):
        first = number % len(keys)
        for key in keys[first:] + keys[:first]:
            seconds[key][number] = _timed(works[key], calls[key], clock)
    return seconds


def _calls(work: Work, least: float, clock: Clock) -> int:
    """How many calls take at least ``least`` seconds, by one that comes after a cold one."""
    if _timed(work, 1, clock) >= least:
        return 1
    return max(1, math.ceil(least / _timed(work, 1, clock)))


def _timed(work: Work, calls: int, clock: Clock) -> float:
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls
