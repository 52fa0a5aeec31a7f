"""Linear representation learning (Section 3.1): a method trained on a problem, as a table."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from layerwise.data.batches import RawBatches, stream
from layerwise.data.instances import Instances, draw, key, load
from layerwise.data.moments import GaussianMoments
from layerwise.data.population import Population, populations
from layerwise.methods.base import Grid, Method
from layerwise.metrics.linear import TransferTask
from layerwise.networks.linear import Weights
from layerwise.results.tables import LINEAR_KEYS, RUN_COLUMNS
from layerwise.settings.run import RunSettings
from layerwise.settings.task import LinearTask
from layerwise.tasks.loop import Trace, record_steps, train


def run(
    settings: RunSettings, instances: Path | None, report: Callable[[int], None]
) -> pd.DataFrame:
    """The run's table, on the instances of a file or drawn here from the same streams."""
    return run_together([settings], instances, report)[0]


def run_together(
    cells: Sequence[RunSettings], instances: Path | None, report: Callable[[int], None]
) -> list[pd.DataFrame]:
    """The tables of cells that differ in their transfer tasks alone, of which training knows nothing."""
    return _train_once(cells, [_instances(cell, instances) for cell in cells], report)


def _instances(settings: RunSettings, path: Path | None) -> Instances:
    task, seeds = _task(settings), settings.seeds
    return draw(task, seeds) if path is None else load(path, key(task.instance(seeds)))


def _task(settings: RunSettings) -> LinearTask:
    assert isinstance(settings.task, LinearTask)
    return settings.task


def simulate(
    settings: RunSettings, drawn: Instances, report: Callable[[int], None] = lambda step: None
) -> pd.DataFrame:
    """Train and measure on drawn instances; returns the table with RUN_COLUMNS."""
    return _train_once([settings], [drawn], report)[0]


def _train_once(
    cells: Sequence[RunSettings], drawn: Sequence[Instances], report: Callable[[int], None]
) -> list[pd.DataFrame]:
    settings = cells[0]
    dtype, task = getattr(torch, settings.dtype), _task(settings)
    training, _ = populations(drawn[0], task.noise, dtype, settings.device)
    grid = Grid(settings.method, dtype, settings.device)
    weights = _initial_weights(drawn[0], len(grid), training)
    method = Method(settings.method, grid, training, weights)
    streams = [
        _stream(settings, training, task.batch_size, purpose)
        for purpose in ("batches", "batches for the head")[: method.batches_per_step]
    ]
    transfers = [_transfer(*of) for of in zip(cells, drawn, strict=True)]
    recorded = record_steps(settings.steps, settings.record_every)
    traces = train(
        method, weights, training, transfers, streams, recorded, report, settings.stop_at
    )
    smallest = drawn[0].eigenvalues.min()
    return [
        _table(cell, trace).assign(eigenvalue_min=smallest)[[*RUN_COLUMNS]]
        for cell, trace in zip(cells, traces, strict=True)
    ]


def _transfer(settings: RunSettings, drawn: Instances) -> TransferTask:
    task = _task(settings)
    _, population = populations(drawn, task.noise, getattr(torch, settings.dtype), settings.device)
    sample = _stream(settings, population, task.n_transfer, "transfer sample").next()
    return TransferTask(population, sample)


def _stream(
    settings: RunSettings, population: Population, size: int, purpose: str
) -> GaussianMoments | RawBatches:
    return stream(
        settings.engine, population, size, settings.seeds, purpose, _task(settings).inputs
    )


def _initial_weights(drawn: Instances, variants: int, like: Population) -> Weights:
    """The same initial weights for every variant of a seed."""

    def expand(array: np.ndarray) -> torch.Tensor:
        tensor = torch.as_tensor(array, dtype=like.head.dtype, device=like.head.device)
        return tensor[:, None].expand(-1, variants, -1, -1).contiguous()

    return Weights(expand(drawn.features_init), expand(drawn.head_init))


def _table(settings: RunSettings, trace: Trace) -> pd.DataFrame:
    """One row for each (damping, lr, seed, step), sorted so; all of RUN_COLUMNS but the spectrum's."""
    task, method = _task(settings), settings.method
    pairs = [(damping, lr) for damping in method.damping or [0.0] for lr in method.lr]
    frame = pd.MultiIndex.from_product(
        [range(len(pairs)), settings.seeds, trace.steps], names=["pair", "seed", "step"]
    ).to_frame(index=False)
    frame["damping"], frame["lr"] = np.array(pairs)[frame.pop("pair")].T
    for name in LINEAR_KEYS:
        value = getattr(task, name)
        frame[name] = np.nan if value is None else value
    frame["method"] = method.name
    for name, values in trace.metrics.items():  # (R, S, V) to (V, S, R)
        frame[name] = values.transpose(2, 1, 0).astype(np.float64).ravel()
    diverged = np.broadcast_to(trace.diverged_at.T[:, :, None], values.transpose(2, 1, 0).shape)
    frame["diverged_at"] = pd.array(diverged.ravel(), dtype="Int64")
    frame["diverged_at"] = frame["diverged_at"].mask(frame["diverged_at"] < 0)
    has_diverged = (frame["diverged_at"] <= frame["step"]).fillna(False)
    frame["status"] = np.where(has_diverged, "diverged", "ok")
    return frame
