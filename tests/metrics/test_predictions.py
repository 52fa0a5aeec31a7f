"""Predicted columns beside what runs measure: the same quantity, taken at the same steps."""

import numpy as np
import pytest

from helpers import run
from layerwise.results.summary import summarise

LONG = (
    "task.noise=0", "task.batch_size=20000", "task.kappa_f=1", "steps=600", "record_every=log",
    "seeds=3", "task.metrics=[subspace_distance,outside_norm,contraction_theory]",
)  # fmt: skip


@pytest.mark.parametrize("method", ["sgd", "sgd_features", "kfac"])
@pytest.mark.parametrize("kappa_x", [1, 10])
def test_contraction_is_predicted_where_it_is_measured(method: str, kappa_x: int) -> None:
    """Slow runs to the end of their steps, fast ones to where round-off begins."""
    words = [*LONG, f"task.kappa_x={kappa_x}", "method.lr=[0.01,0.1]"]
    summary = summarise(run(method, *words).assign(problem=""), None)
    reached = summary.groupby("lr")["outside_norm"].median()
    if kappa_x == 1 and method != "sgd_features":
        assert reached[0.1] < 1e-12 and reached[0.01] > 1e-3
    ratio = (1 - summary["contraction"]) / (1 - summary["contraction_theory"])
    assert np.abs(ratio - 1).max() < 0.05
