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
    rows = pd.MultiIndex.from_product(
        [method.damping or [0.0], method.lr, settings.seeds, trace.steps],
        names=["damping", "lr", "seed", "step"],
    )
    frame = rows.to_frame(index=False)
    for place, key in enumerate(("method", "rule", "network")):
        frame.insert(place, key, method.name if key == "method" else getattr(method, key))
    for key, value in settings.task.model_dump(exclude=NO_COLUMNS).items():
        frame[key] = np.nan if value is None else value
    for name, values in metrics.items():  # (R, S, V) to (V, S, R), where V runs over dampings first
        frame[name] = values.transpose(2, 1, 0).astype(np.float64).ravel()
    diverged = pd.Series(np.repeat(trace.diverged_at.T.ravel(), len(trace.steps)), dtype="Int64")
    diverged = diverged.mask(diverged < 0)
    said = np.full(trace.diverged_at.T.shape, None, dtype=object)
    for (s, v), why in trace.failures.items():
        said[v, s] = why
    # Text also where it is all missing, so that tables of several jobs are of one kind.
    failure = pd.Series(np.repeat(said.ravel(), len(trace.steps)), dtype="string")
    lost = np.where(failure.isna(), "diverged", "failed")
    frame["status"] = np.where((diverged <= frame["step"]).fillna(False), lost, "ok")
    return frame.assign(diverged_at=diverged, failure=failure)
