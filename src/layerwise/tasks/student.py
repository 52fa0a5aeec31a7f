"""Training of students, for the tasks that have one: blocks of seeds, the rule, and what is measured."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.methods.base import load_rule, steps_of
from layerwise.networks.base import Layers
from layerwise.networks.mlp import MLP
from layerwise.settings.run import RunSettings
from layerwise.settings.validation import ConfigError
from layerwise.tasks.loop import Measure, Stream, Trace, advancing, record_steps, train
from layerwise.tasks.table import run_table

# Bytes of a hidden layer's values on a batch that are worked on at once: seeds beyond it come in turn.
BLOCK_BYTES = 2**23


def students_table(
    cells: Sequence[RunSettings],
    instances: Path | None,
    report: Callable[[int], None],
    train_block: Callable[[RunSettings, Sequence[int], Callable[[int], None]], Trace],
) -> list[pd.DataFrame]:
    """The only cell's table, whose seeds ``train_block`` trains some at a time, on what it draws from each
    seed's own streams: ``instances`` must be None."""
    (settings,) = cells
    if instances is not None:
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: this task draws its own")
    trace = _in_blocks(settings, lambda seeds: train_block(settings, seeds, report))
    own = {name: trace.metrics[name] for name in settings.task.metrics}
    return [run_table(settings, trace, own)]


def trained(
    settings: RunSettings,
    start: Sequence[Layers],
    network: MLP,
    stream: Stream[Any],
    measure: Measure,
    report: Callable[[int], None],
) -> Trace:
    """Train the students of some seeds, which start at each seed's layers (out, in + 1)."""
    weights = tuple(torch.stack(layers)[:, None] for layers in zip(*start, strict=True))
    # Every layer's steps are as they stand: weights are of order one.
    method = settings.method
    steps = steps_of(method.lr, method.damping, [1.0] * len(weights), weights[0])
    return train(
        load_rule(method, steps),
        network,
        weights,
        steps.variants,
        [stream],
        record_steps(settings.steps, settings.record_every),
        measure,
        report,
        advance=advancing(settings.schedule, settings.steps, steps),
    )


def measure_all(
    names: Sequence[str], metrics: Mapping[str, Callable[[Any, Any], Tensor]], bench: Any
) -> Measure:
    """What the loop calls at a recorded step: the metrics of these names on a bench."""
    return lambda view, alive: {name: metrics[name](view, bench) for name in names}


def _in_blocks(settings: RunSettings, train_block: Callable[[list[int]], Trace]) -> Trace:
    """The trace of all seeds, a block of them at a time; a seed's numbers do not depend on the others."""
    task, method, seeds = settings.task, settings.method, settings.seeds
    variants = len(method.lr) * max(len(method.damping), 1)
    itemsize = getattr(torch, settings.dtype).itemsize
    size = max(1, BLOCK_BYTES // (variants * task.width * task.batch_size * itemsize))
    traces = [train_block(seeds[at : at + size]) for at in range(0, len(seeds), size)]
    failures = {
        (block * size + s, v): why
        for block, trace in enumerate(traces)
        for (s, v), why in trace.failures.items()
    }
    return Trace(
        traces[0].steps,
        {
            name: np.concatenate([trace.metrics[name] for trace in traces], axis=1)
            for name in traces[0].metrics
        },
        np.concatenate([trace.diverged_at for trace in traces]),
        failures,
    )
