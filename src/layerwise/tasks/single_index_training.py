"""Single-index learning (Section 3.2) beyond one step: a method trained on it, as a table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from layerwise.data.single_index import OneStepProblem
from layerwise.settings.run import RunSettings
from layerwise.settings.task import SingleIndexTrainingTask
from layerwise.settings.validation import ConfigError
from layerwise.tasks.loop import Trace, record_steps
from layerwise.tasks.single_training import METRICS, Runs, train

# Fewer than for one step, of the same stream: errors are measured at many steps.
TEST_SAMPLES = 2000


def run(
    settings: RunSettings, instances: Path | None, report: Callable[[int], None]
) -> pd.DataFrame:
    """One row for each (damping, step size, seed, recorded step): the task, and what was learnt.

    Instances are drawn here, from each seed's own streams: ``instances`` must be None.
    """
    task = settings.task
    assert isinstance(task, SingleIndexTrainingTask)
    if instances is not None:
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: this task draws its own")
    sizes = task.model_dump(exclude={"name", "layers", "samples"})
    problem = OneStepProblem(**sizes, n_test=TEST_SAMPLES)
    runs = Runs(
        problem,
        settings.method,
        settings.seeds,
        task.layers,
        task.samples,
        getattr(torch, settings.dtype),
        settings.device,
    )
    recorded = record_steps(settings.steps, settings.record_every)
    return _table(settings, train(runs, recorded, report))


def _table(settings: RunSettings, trace: Trace) -> pd.DataFrame:
    """The trace's rows, sorted by (damping, lr, seed, step)."""
    method = settings.method
    rows = pd.MultiIndex.from_product(
        [method.damping or [0.0], method.lr, settings.seeds, trace.steps],
        names=["damping", "lr", "seed", "step"],
    )
    frame = rows.to_frame(index=False)
    frame.insert(0, "method", method.name)
    for key, value in settings.task.model_dump(exclude={"name"}).items():
        frame[key] = value
    for name in METRICS:  # (R, S, V) to (V, S, R), where V runs over dampings first
        frame[name] = trace.metrics[name].transpose(2, 1, 0).astype(np.float64).ravel()
    diverged = pd.Series(np.repeat(trace.diverged_at.T.ravel(), len(trace.steps)), dtype="Int64")
    diverged = diverged.mask(diverged < 0)
    frame["status"] = np.where((diverged <= frame["step"]).fillna(False), "diverged", "ok")
    return frame.assign(diverged_at=diverged)
