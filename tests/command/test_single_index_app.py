"""Single-index runs by their public interface: columns, prediction, refusals, and names in one place."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from helpers import composed, single_index_task, table_alone
from layerwise.data.covariance import SPECTRA
from layerwise.metrics.single_index import METRICS, SEQUENCES
from layerwise.networks.activations import ACTIVATIONS
from layerwise.networks.inputs import INPUTS
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.settings.validation import ConfigError
from layerwise.tasks import single_index
from layerwise.theory.links import NAMES as LINKS

SMALL = ["task=single_index", "task.d=60", "task.width=40", "task.kappa_x=10", "seeds=4", "steps=1"]
ONE_STEP = ["alignment_direction", "alignment", "spike_ratio", "test_error", "alignment_theory"]
ALIGNMENTS = ["alignment_direction", "alignment", "alignment_theory"]


def table(*overrides: str, metrics: list[str] = ONE_STEP) -> pd.DataFrame:
    """The rows after one step, in the preactivations' unit."""
    words = ["task.lr_unit=preactivations", f"task.metrics=[{','.join(metrics)}]", *overrides]
    settings = composed(*SMALL, *words)
    runs = table_alone(single_index, settings)
    return runs[runs["step"] == 1].reset_index(drop=True)


def test_one_row_for_each_damping_step_size_and_seed():
    runs = table("method=kfac", "method.damping=[0.05,0.5]", "method.lr=[0.5,1.0]")
    assert len(runs) == 2 * 2 * 4
    assert not runs.duplicated(["damping", "lr", "seed"]).any()
    settings = "method damping lr seed d aspect_ratio width kappa_x spectrum basis link activation"
    assert {*ONE_STEP, *settings.split(), "noise", "readout_scale"} <= set(runs.columns)
    assert np.isfinite(runs[ONE_STEP].to_numpy()).all()


def test_alignments_do_not_depend_on_the_step_size():
    """Nor on what else is measured."""
    full = table("method=sgd", "method.lr=[0.5,1.0]")
    short = table("method=sgd", "method.lr=[1.0]", metrics=ALIGNMENTS)
    assert "test_error" not in short
    for column in ALIGNMENTS:
        for lr in (0.5, 1.0):
            own = full.loc[full["lr"] == lr, column].tolist()
            assert own == pytest.approx(short[column].tolist(), rel=1e-9)


def test_the_prediction_is_near_what_is_measured():
    """Four seeds at d = 60: within 0.1 is far closer than the two methods are to each other."""
    means = {
        method: table(
            f"method={method}", "task.kappa_x=100", "method.lr=[1.0]", metrics=ALIGNMENTS
        ).mean(numeric_only=True)
        for method in ("sgd", "kfac")
    }
    for mean in means.values():
        assert mean["alignment_direction"] == pytest.approx(mean["alignment_theory"], abs=0.1)
    assert means["kfac"]["alignment_theory"] > means["sgd"]["alignment_theory"] + 0.15


def test_methods_without_a_formula_have_no_prediction():
    """Nor has a network that changes its inputs."""
    for method in ("adam", "whitened_sgd"):
        runs = table(f"method={method}", "method.lr=[1.0]", metrics=ALIGNMENTS)
        assert runs["alignment_theory"].isna().all()


def test_names_that_settings_allow_are_the_ones_that_exist():
    fields = SingleIndexTask.model_fields
    # The training loss is the view's, and two metrics are of a rule or a formula, not of a network.
    others = {"train_loss", "alignment_direction", "alignment_theory"}
    assert set(SingleIndexTask.measures) == {*METRICS, *SEQUENCES} | others
    assert set(SingleIndexTask.networks) == set(INPUTS)
    assert set(get_args(fields["activation"].annotation)) == set(ACTIVATIONS)
    for key, names in (("link", LINKS), ("spectrum", SPECTRA)):
        for name in names:
            assert getattr(single_index_task(**{key: name}), key) == name
        with pytest.raises(ValueError, match=f"allowed are {', '.join(sorted(names))}"):
            single_index_task(**{key: "nothing"})


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
        (
            ["method=dfw"],
            "method.rule = 'dfw.DFW' is not allowed with method.network = 'plain' and task = "
            "'single_index': dfw needs a linear hidden layer, which this network has not",
        ),
        (
            ["method=kfac", "method.network=bn_hidden"],
            "kfac needs the second moment of every layer's inputs, which this network has not, "
            "which plain, whitened, bn_input has",
        ),
        (
            ["method=kfac", "method.options.precondition_outputs=true"],
            "kfac needs a factor P of every layer's outputs that can be divided by with "
            "options.precondition_outputs = true, which this network has not",
        ),
        (
            ["method=gauss_newton", "task.d=6000", "task.aspect_ratio=1"],
            "with method.rule = 'gauss_newton.GaussNewton': it makes 6000 samples, at most 4096",
        ),
        (["task.metrics=[alignement]"], "is unknown, did you mean 'alignment'?"),
        (["task.metrics=[]"], "task.metrics = [] is not allowed: allowed are one or more"),
        (["stop_at=0.1"], "stop_at = 0.1 is not allowed with task = 'single_index'"),
        (["method.lr=[]"], "method.lr = [] is not allowed: at least one value is needed"),
        (["task.link=he1_plus_he3", "task.kappa_x=1"], None),
    ],
)
def test_what_is_refused(overrides, sentence):
    if sentence is None:
        assert len(table("method.lr=[1.0]", *overrides)) == 4
        return
    with pytest.raises(ConfigError) as refused:
        table(*overrides)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
