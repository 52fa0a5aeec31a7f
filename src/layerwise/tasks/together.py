"""Trainings of several methods in step, so that what they train on is drawn once."""

import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import pandas as pd

Batch = TypeVar("Batch", covariant=True)


class Stream(Protocol[Batch]):
    """A source of batches."""

    def next(self) -> Batch:
        """The next batch."""


class Training(NamedTuple):
    """A training that waits for each step's batches, one of each of its streams, and returns what came of
    it."""

    steps: Generator[None, Sequence[Any], Any]
    streams: Sequence[Stream[Any]]


class Seconds(NamedTuple):
    """Of a clock on the wall, and of the process's own work."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Seconds":
        """By which times are told as differences."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Seconds") -> "Seconds":
        """From ``start`` to this."""
        return Seconds(self.wall - start.wall, self.cpu - start.cpu)

    @classmethod
    def total(cls, parts: Iterable["Seconds"]) -> "Seconds":
        """Of all parts."""
        each = list(parts)
        return cls(sum(one.wall for one in each), sum(one.cpu for one in each))


class Ran(NamedTuple):
    """The tables of a method's cells, and the time of their training."""

    tables: list[pd.DataFrame]
    seconds: Seconds


def together(trainings: Sequence[Training]) -> list[tuple[Any, Seconds]]:
    """What comes of each training, and its own time: that of its steps, without the draws.

    A stream's next batch is drawn once a step and seen by all of its trainings that are still going; so
    none may change it. Each comes to what it comes to alone, to the last bit.
    """
    results: list[Any] = [None] * len(trainings)
    took = [Seconds(0.0, 0.0)] * len(trainings)
    going = dict(enumerate(trainings))
    for training in trainings:
        next(training.steps)  # to its first wait
    while going:
        drawn: dict[int, Any] = {}
        for place, training in list(going.items()):
            for stream in training.streams:
                if id(stream) not in drawn:
                    drawn[id(stream)] = stream.next()
            start = Seconds.now()
            try:
                training.steps.send([drawn[id(stream)] for stream in training.streams])
            except StopIteration as done:
                results[place] = done.value
                del going[place]
            took[place] = Seconds.total([took[place], Seconds.now().since(start)])
    return list(zip(results, took, strict=True))
