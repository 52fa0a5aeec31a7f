"""A run's table, the same for every task: what was run, and what was measured at each recorded step."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from layerwise.settings.run import RunSettings
from layerwise.tasks.loop import Trace

# Settings of a task that say what is measured, not what is run.
NO_COLUMNS = {"name", "metrics"}


def run_table(
    settings: RunSettings, trace: Trace, metrics: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """One row for each (damping, lr, seed, step), sorted so; ``metrics`` (R, S, V) are its last columns
    but for ``status``, ``diverged_at``, the step that was refused, empty for a run that goes on, and
    ``failure``, what was said if that step raised."""
    method = settings.method
    levels = (method.damping or [0.0], method.lr, settings.seeds, trace.steps)
    grid = np.meshgrid(*map(np.asarray, levels), indexing="ij")
    rows = {
        "method": method.name,
        "rule": method.rule,
        "network": method.network,
        **dict(zip(("damping", "lr", "seed", "step"), map(np.ravel, grid), strict=True)),
        **settings.task.model_dump(exclude=NO_COLUMNS),
    }
    columns = {key: np.nan if value is None else value for key, value in rows.items()}
    for name, values in metrics.items():  # (R, S, V) to (V, S, R), where V runs over dampings first
        columns[name] = values.transpose(2, 1, 0).astype(np.float64).ravel()
    diverged = pd.Series(np.repeat(trace.diverged_at.T.ravel(), len(trace.steps)), dtype="Int64")
    diverged = diverged.mask(diverged < 0)
    said = np.full(trace.diverged_at.T.shape, None, dtype=object)
    for (s, v), why in trace.failures.items():
        said[v, s] = why
    # Text also where it is all missing, so that tables of several jobs are of one kind.
    failure = pd.Series(np.repeat(said.ravel(), len(trace.steps)), dtype="string")
    lost = np.where(failure.isna(), "diverged", "failed")
    has = (diverged <= columns["step"]).fillna(False)
    columns |= {"status": np.where(has, lost, "ok"), "diverged_at": diverged, "failure": failure}
    # All columns at once: one after the other would take as long as a small run.
    return pd.DataFrame(columns)
