"""A student of any depth on a multi-index teacher (beyond the paper), trained by a method, as a table."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch

from layerwise.data.students import start_weights
from layerwise.data.teacher import draw_teacher, training_batches
from layerwise.metrics.teacher_student import METRICS, Bench
from layerwise.networks.mlp import MLP
from layerwise.settings.run import RunSettings
from layerwise.tasks.loop import Trace
from layerwise.tasks.student import measure_all, students_table, trained


def run(
    cells: Sequence[RunSettings], instances: Path | None, report: Callable[[int], None]
) -> list[pd.DataFrame]:
    """The only cell's table. Teachers are drawn here, from each seed's own streams: ``instances`` must be
    None."""
    return students_table(cells, instances, report, _train)


def _train(settings: RunSettings, seeds: Sequence[int], report: Callable[[int], None]) -> Trace:
    task, dtype, device = settings.task, getattr(torch, settings.dtype), settings.device
    teachers = [draw_teacher(task, seed, dtype, device) for seed in seeds]
    network = MLP(settings.method.network, task, [teacher.covariance for teacher in teachers])
    bench = Bench(task, network, teachers, seeds)
    return trained(
        settings,
        [start_weights(task, task.d_x, task.d_y, seed, dtype, device) for seed in seeds],
        network,
        training_batches(task, teachers, seeds),
        measure_all(task.metrics, METRICS, bench),
        report,
    )
