"""Tasks on raw samples: seeds in blocks, in each of which all methods train in step.

A seed's numbers do not depend on the others, so that a block is as large as its values may be.
"""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from layerwise.settings.run import RunSettings
from layerwise.settings.validation import ConfigError
from layerwise.tasks.loop import Trace
from layerwise.tasks.together import Seconds, Stream, Training, together

# Bytes of the hidden layer's values on a batch that are worked on at once: seeds beyond it come in turn.
# So few that the C library's allocator keeps what a step frees, and does not fault it in again.
BLOCK_BYTES = 2**20


class Block(Protocol):
    """Some seeds of a training problem: what methods have in common there, from each seed's own streams."""

    @property
    def batches(self) -> Stream[Any]:
        """What all of them train on."""

    def training(
        self, settings: RunSettings, report: Callable[[int], None]
    ) -> Generator[None, Sequence[Any], Trace]:
        """A method's, see :func:`layerwise.tasks.loop.training`."""


def trained_in_blocks(
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
    values: int,
    drawn: Callable[[RunSettings, Sequence[int]], Block],
) -> list[tuple[Trace, Seconds]]:
    """What comes of the training of each group's only cell, methods on one training problem with the same
    seeds, and its own time. ``values`` is how many a run's hidden layer has on a batch. Blocks are drawn
    here: ``instances`` must be None."""
    if instances is not None:
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: this task draws its own")
    methods = [settings for (settings,) in groups]
    parts: list[list[tuple[Trace, Seconds]]] = []
    for seeds in _blocks(methods, values):
        block = drawn(methods[0], seeds)
        each = zip(methods, reports, strict=True)
        parts.append(together([Training(block.training(*of), [block.batches]) for of in each]))
    return [
        (_joined([trace for trace, _ in own]), Seconds.total(seconds for _, seconds in own))
        for own in zip(*parts, strict=True)
    ]


def _blocks(methods: Sequence[RunSettings], values: int) -> list[list[int]]:
    """Seeds that are worked on together."""
    # The first of several steps starts from weights that a seed's variants share.
    variants = max(
        len(one.method.lr) * max(len(one.method.damping), 1) if one.steps > 1 else 1
        for one in methods
    )
    itemsize = getattr(torch, methods[0].dtype).itemsize
    size = max(1, BLOCK_BYTES // (variants * values * itemsize))
    seeds = methods[0].seeds
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def _joined(traces: Sequence[Trace]) -> Trace:
    """Of blocks of seeds, one after the other."""
    failures: dict[tuple[int, int], str] = {}
    before = 0
    for trace in traces:
        failures |= {(before + s, v): why for (s, v), why in trace.failures.items()}
        before += len(trace.diverged_at)
    return Trace(
        traces[0].steps,
        {
            name: np.concatenate([one.metrics[name] for one in traces], axis=1)
            for name in traces[0].metrics
        },
        np.concatenate([one.diverged_at for one in traces]),
        failures,
    )
