"""Reduction of run tables to a row a run: last values, first passages, averages. No torch."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerwise.results.columns import RUN_KEYS, SUMMARISED
from layerwise.results.first_passage import first_passages

Array = NDArray[np.float64]

# Of its start: below it round-off would show in a contraction.
CONTRACTION_FLOOR = 1e-9


def summarise(runs: pd.DataFrame, target: float | None) -> pd.DataFrame:
    """One row for each run, in the order in which they first appear: its last recorded row and, where
    runs have the metric,

    - ``iterations`` and ``iterations_half``: T(target) and T(target / 2) of the subspace distance, see
      :func:`layerwise.results.first_passage.first_passages`, and ``target``; not without one,
    - ``mean_subspace_distance`` and ``mean_train_loss``: averages over the steps,
    - ``contraction``: of ``outside_norm``, see :func:`late_contractions`.
    """
    number = runs.groupby(list(RUN_KEYS), sort=False).ngroup().to_numpy()
    by_step = np.lexsort((runs["step"].to_numpy(), number))
    ordered = runs.iloc[by_step]
    starts = np.flatnonzero(np.diff(number[by_step], prepend=-1))
    lengths = np.diff(starts, append=len(ordered))
    summary = ordered.iloc[starts + lengths - 1].reset_index(drop=True)
    steps = ordered["step"].to_numpy(dtype=float)
    added = [
        name
        for name, of in SUMMARISED.items()
        if of in runs and (target is not None or not name.startswith("iterations"))
    ]
    columns = {name: np.empty(len(starts)) for name in added}
    values = {SUMMARISED[name]: ordered[SUMMARISED[name]].to_numpy(dtype=float) for name in added}
    for of, rows in _alike(starts, lengths):
        for name in added:
            columns[name][of] = _added(name, steps[rows], values[SUMMARISED[name]][rows], target)
    if "iterations" in columns:
        columns["target"] = np.full(len(starts), target)
    return summary.assign(**columns)


def _alike(
    starts: NDArray[np.intp], lengths: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Runs with equally many records: their places (n,), and those of their rows (n, m)."""
    for length in np.unique(lengths):
        of = np.flatnonzero(lengths == length)
        yield of, starts[of][:, None] + np.arange(length)


def _added(name: str, steps: Array, values: Array, target: float | None) -> Array:
    """A column for runs of steps and values (n, m): (n,)."""
    if name == "contraction":
        return late_contractions(steps, values)
    if name.startswith("mean_"):
        # By the trapezoidal rule, since recorded steps need not be equally spaced.
        span = np.maximum(steps[:, -1] - steps[:, 0], 1)
        mean: Array = np.trapezoid(values, steps, axis=1) / span
        return mean
    assert target is not None
    return first_passages(steps, values, target / 2 if name == "iterations_half" else target)


def late_contractions(steps: Array, norms: Array) -> Array:
    """Late contraction a step of |G (I - G*^T G*)|, of steps and norms (n, m): the geometric mean over the
    second half of the steps before it falls below CONTRACTION_FLOOR of its start; NaN where it falls at
    once. What is measured and what is predicted are both taken there."""
    valid = norms > CONTRACTION_FLOOR * norms[:, :1]
    last = valid.shape[1] - 1 - valid[:, ::-1].argmax(axis=1)
    runs = np.arange(len(norms))
    half = steps[runs, last] // 2
    first = np.maximum((steps <= half[:, None]).sum(axis=1) - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = norms[runs, last] / norms[runs, first]
        late: Array = factor ** (1 / (steps[runs, last] - steps[runs, first]))
    return np.where(valid.sum(axis=1) >= 2, late, np.nan)
