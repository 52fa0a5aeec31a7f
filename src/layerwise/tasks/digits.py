"""A network on labelings of handwritten digits (beyond the paper), trained by a method, as a table."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch

from layerwise.data.digits import draw_split
from layerwise.data.students import Batch, FixedBatches, start_weights
from layerwise.metrics.digits import METRICS, Bench
from layerwise.networks.mlp import MLP
from layerwise.settings.run import RunSettings
from layerwise.tasks.loop import Trace
from layerwise.tasks.student import measure_all, students_table, trained


def run(
    cells: Sequence[RunSettings], instances: Path | None, report: Callable[[int], None]
) -> list[pd.DataFrame]:
    """The only cell's table. Splits are drawn here, from each seed's own streams: ``instances`` must be
    None."""
    return students_table(cells, instances, report, _train)


def _train(settings: RunSettings, seeds: Sequence[int], report: Callable[[int], None]) -> Trace:
    task, dtype, device = settings.task, getattr(torch, settings.dtype), settings.device
    splits = [draw_split(task, seed, dtype, device) for seed in seeds]
    network = MLP(settings.method.network, task, [split.covariance for split in splits])
    sample = Batch(
        torch.stack([split.x[: task.n_train] for split in splits]),
        torch.stack([split.labels[: task.n_train] for split in splits]),
    )
    d_x, d_y = sample.x.shape[-1], task.labelings
    return trained(
        settings,
        [start_weights(task, d_x, d_y, seed, dtype, device) for seed in seeds],
        network,
        FixedBatches(sample, task.batch_size, seeds),
        measure_all(task.metrics, METRICS, Bench(task, network, splits)),
        report,
    )
