"""Single-index runs by their public interface: columns, prediction, refusals, and names in one place."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from layerwise.tasks.single_step import METHODS

from layerwise.data.covariance import SPECTRA
from layerwise.metrics.ridge import ACTIVATIONS
from layerwise.planning.compose import compose_config, settings_of
from layerwise.settings.task import SINGLE_INDEX_METHODS, SingleIndexTask
from layerwise.settings.validation import ConfigError
from layerwise.tasks.single_index import run
from layerwise.theory.links import NAMES as LINKS

SMALL = ["task=single_index", "task.d=60", "task.width=40", "task.kappa_x=10", "seeds=4"]


def table(*overrides: str) -> pd.DataFrame:
    settings = settings_of(compose_config([*SMALL, *overrides]))
    return run(settings, None, lambda step: None)


def test_one_row_for_each_damping_step_size_and_seed():
    runs = table("method=kfac", "method.damping=[0.05,0.5]", "method.lr=[0.5,1.0]")
    assert len(runs) == 2 * 2 * 4
    assert not runs.duplicated(["damping", "lr", "seed"]).any()
    measured = [
        "alignment_direction",
        "alignment_update",
        "spike_ratio",
        "test_error",
        "alignment_theory",
    ]
    settings = "method damping lr seed d aspect_ratio width kappa_x spectrum basis link activation"
    assert {*measured, *settings.split(), "noise", "readout_scale"} <= set(runs.columns)
    assert np.isfinite(runs[measured].to_numpy()).all()


def test_without_step_sizes_alignments_are_the_same_and_errors_are_missing():
    full, short = table("method=sgd", "method.lr=[1.0]"), table("method=sgd", "method.lr=[]")
    for column in ("alignment_direction", "alignment_update", "alignment_theory"):
        assert full[column].tolist() == short[column].tolist()
    assert short["test_error"].isna().all()


def test_the_prediction_is_near_what_is_measured():
    """Four seeds at d = 60: within 0.1 is far closer than the two methods are to each other."""
    means = {
        method: table(f"method={method}", "task.kappa_x=100", "method.lr=[]").mean(
            numeric_only=True
        )
        for method in ("sgd", "kfac")
    }
    for mean in means.values():
        assert mean["alignment_direction"] == pytest.approx(mean["alignment_theory"], abs=0.1)
    assert means["kfac"]["alignment_theory"] > means["sgd"]["alignment_theory"] + 0.15


def test_methods_without_a_formula_have_no_prediction():
    assert table("method=adam", "method.lr=[]")["alignment_theory"].isna().all()


def test_names_that_settings_allow_are_the_ones_that_exist():
    fields = SingleIndexTask.model_fields
    assert set(SINGLE_INDEX_METHODS) == set(METHODS)
    assert set(get_args(fields["link"].annotation)) == set(LINKS)
    assert set(get_args(fields["activation"].annotation)) == set(ACTIVATIONS)
    assert set(get_args(fields["spectrum"].annotation)) == set(SPECTRA)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["task.aspect_ratio=0"],
            "task.aspect_ratio = 0 is not allowed: allowed is greater than 0",
        ),
        (["task.aspect_ratio=100"], "task.aspect_ratio = 100.0 is not allowed: at most d/2 = 30"),
        (["task.link=tan"], "task.link = 'tan' is not allowed"),
        (["method=kfac", "method.damping=[-1]"], "method.damping = -1 is not allowed"),
        (["method=dfw"], "method = 'dfw' is not allowed with task = 'single_index'"),
        (
            ["method=gauss_newton", "task.d=6000", "task.aspect_ratio=1"],
            "too many for gauss_newton",
        ),
        (["task.link=he1_plus_he3", "task.kappa_x=1", "method.lr=[]"], None),
    ],
)
def test_what_is_refused(overrides, sentence):
    if sentence is None:
        assert len(table(*overrides)) == 4
        return
    with pytest.raises(ConfigError) as refused:
        table(*overrides)
    assert sentence in str(refused.value)
