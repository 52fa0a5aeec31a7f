"""A network on labelings of handwritten digits (beyond the paper), trained by methods, as tables."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from layerwise.data.digits import draw_split
from layerwise.data.students import Batch, FixedBatches, start_weights
from layerwise.metrics.digits import METRICS, Bench
from layerwise.settings.run import RunSettings
from layerwise.tasks.student import Students, run_students
from layerwise.tasks.together import Ran


def run(
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """The table of each group's only cell, and its own time: methods on the same splits, in step."""
    return run_students(groups, instances, reports, _drawn)


def _drawn(settings: RunSettings, seeds: Sequence[int]) -> Students:
    task, dtype, device = settings.task, getattr(torch, settings.dtype), settings.device
    splits = [draw_split(task, seed, dtype, device) for seed in seeds]
    sample = Batch(
        torch.stack([split.x[: task.n_train] for split in splits]),
        torch.stack([split.labels[: task.n_train] for split in splits]),
    )
    d_x, d_y = sample.x.shape[-1], task.labelings
    return Students(
        [start_weights(task, d_x, d_y, seed, dtype, device) for seed in seeds],
        [split.covariance for split in splits],
        FixedBatches(sample, task.batch_size, seeds),
        METRICS,
        partial(Bench, task, splits),
    )
