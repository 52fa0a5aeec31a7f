"""Single-index learning (Section 3.2): one step of a method, as a table with its prediction."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from layerwise.data.covariance import spectrum
from layerwise.data.single_index import OneStepProblem
from layerwise.settings.run import RunSettings
from layerwise.settings.task import SingleIndexTask
from layerwise.settings.validation import ConfigError
from layerwise.tasks.single_step import run_one_step
from layerwise.theory.alignment import METHODS as PREDICTED
from layerwise.theory.alignment import predicted_alignment


def run(
    settings: RunSettings, instances: Path | None, report: Callable[[int], None]
) -> pd.DataFrame:
    """One row for each (damping, step size, seed): what the step learnt, its prediction, and the task.

    Instances are drawn here, from each seed's own streams: ``instances`` must be None.
    """
    task, method = settings.task, settings.method
    assert isinstance(task, SingleIndexTask)
    if instances is not None:
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: this task draws its own")
    report(0)
    problem = OneStepProblem(**task.model_dump(exclude={"name"}))
    try:
        columns = run_one_step(
            problem,
            method.name,
            method.damping,
            method.lr,
            settings.seeds,
            dtype=getattr(torch, settings.dtype),
            device=settings.device,
        )
    except ValueError as error:  # a system too large, or no prediction: known once sizes are
        raise ConfigError(str(error)) from None
    frame = pd.DataFrame(columns).assign(method=method.name)
    for key, value in task.model_dump(exclude={"name"}).items():
        frame[key] = value
    return frame.assign(alignment_theory=_predictions(problem, method.name, frame["damping"]))


def _predictions(problem: OneStepProblem, method: str, dampings: pd.Series) -> np.ndarray:
    """The limiting alignment for each row; NaN where the paper has no formula for the method."""
    if method not in PREDICTED:
        return np.full(len(dampings), np.nan)
    values = np.unique(dampings)
    predicted = predicted_alignment(
        method,
        spectrum(problem.spectrum, problem.d, problem.kappa_x),
        problem.d / problem.n,  # the data's own ratio: n is a whole number
        problem.link,
        problem.noise,
        values,
    )
    return np.interp(dampings, values, np.atleast_1d(predicted))
