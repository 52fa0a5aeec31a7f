"""The spike that one step on single-index data adds to the first layer, as a table."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from layerwise.data.single_index import OneStepProblem
from layerwise.settings.run import RunSettings
from layerwise.settings.task import SpikeTask
from layerwise.settings.validation import ConfigError
from layerwise.tasks.single_step import spike


def run(
    settings: RunSettings, instances: Path | None, report: Callable[[int], None]
) -> pd.DataFrame:
    """One row for each (damping, step size, seed, index of a singular value).

    Columns update, before and after are singular values; cosine_direction and cosine_biased those of
    the update's top right singular vector with beta and Sigma_x beta. ``instances`` must be None.
    """
    task, method = settings.task, settings.method
    assert isinstance(task, SpikeTask)
    if instances is not None:
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: this task draws its own")
    report(0)
    problem = OneStepProblem(**task.model_dump(exclude={"name", "count"}))
    tables = [
        _rows(problem, method.name, damping, lr, seed, task.count)
        for damping in method.damping or [0.0]
        for lr in method.lr
        for seed in settings.seeds
    ]
    frame = pd.concat(tables, ignore_index=True).assign(method=method.name)
    return frame.assign(**task.model_dump(exclude={"name", "count"}))


def _rows(
    problem: OneStepProblem, method: str, damping: float, lr: float, seed: int, count: int
) -> pd.DataFrame:
    found = spike(problem, method, damping, lr, seed, count)._asdict()
    values = {name: found[name].numpy() for name in ("update", "before", "after")}
    cosines = {name: found[name] for name in ("cosine_direction", "cosine_biased")}
    own = {"damping": damping, "lr": lr, "seed": seed}
    return pd.DataFrame(values).rename_axis("index").reset_index().assign(**own, **cosines)
