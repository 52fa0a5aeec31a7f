"""Training of students, for the tasks that have one: the rule, and what is measured."""

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from layerwise.data.students import Coordinates
from layerwise.methods.base import load_rule, steps_of
from layerwise.networks.base import Layers
from layerwise.networks.mlp import MLP
from layerwise.settings.run import RunSettings
from layerwise.tasks.blocks import trained_in_blocks
from layerwise.tasks.loop import Stream, Trace, advancing, record_steps, training
from layerwise.tasks.table import run_table
from layerwise.tasks.together import Ran


class Students(NamedTuple):
    """Some seeds of a training problem: layers (out, in + 1) and the inputs' covariance of each, what they
    train on, the task's metrics, and what these are taken on, made for a network."""

    start: Sequence[Layers]
    covariances: Sequence[Coordinates]
    batches: Stream[Any]
    metrics: Mapping[str, Callable[[Any, Any], Tensor]]
    bench: Callable[[MLP], Any]

    def training(
        self, settings: RunSettings, report: Callable[[int], None]
    ) -> Generator[None, Sequence[Any], Trace]:
        """As :class:`~layerwise.tasks.blocks.Block`."""
        weights = tuple(torch.stack(layers)[:, None] for layers in zip(*self.start, strict=True))
        # Every layer's steps are as they stand: weights are of order one.
        method, task = settings.method, settings.task
        steps = steps_of(method.lr, method.damping, [1.0] * len(weights), weights[0])
        network = MLP(method.network, task, self.covariances)
        bench = self.bench(network)
        return training(
            load_rule(method, steps),
            network,
            weights,
            steps,
            record_steps(settings.steps, settings.record_every),
            lambda view, alive: {name: self.metrics[name](view, bench) for name in task.metrics},
            report,
            advance=advancing(settings.schedule, settings.steps, steps),
        )


def run_students(
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
    drawn: Callable[[RunSettings, Sequence[int]], Students],
) -> list[Ran]:
    """The table of each group's only cell, and its own time; seeds are ``drawn`` as students."""
    task = groups[0][0].task
    done = trained_in_blocks(groups, instances, reports, task.width * task.batch_size, drawn)
    return [
        Ran([run_table(settings, trace, trace.metrics)], seconds)
        for (settings,), (trace, seconds) in zip(groups, done, strict=True)
    ]
