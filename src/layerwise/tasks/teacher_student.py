"""A student of any depth on a multi-index teacher (beyond the paper), trained by methods, as tables."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from layerwise.data.students import start_weights
from layerwise.data.teacher import draw_teacher, training_batches
from layerwise.metrics.teacher_student import METRICS, Bench, Samples
from layerwise.settings.run import RunSettings
from layerwise.tasks.student import Students, run_students
from layerwise.tasks.together import Ran


def run(
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """The table of each group's only cell, and its own time: methods on one teacher, in step."""
    return run_students(groups, instances, reports, _drawn)


def _drawn(settings: RunSettings, seeds: Sequence[int]) -> Students:
    task, dtype, device = settings.task, getattr(torch, settings.dtype), settings.device
    teachers = [draw_teacher(task, seed, dtype, device) for seed in seeds]
    return Students(
        [start_weights(task, task.d_x, task.d_y, seed, dtype, device) for seed in seeds],
        [teacher.covariance for teacher in teachers],
        training_batches(task, teachers, seeds),
        METRICS,
        partial(Bench, Samples(task, teachers, seeds)),
    )
