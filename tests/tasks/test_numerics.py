"""Extreme settings of every method: finite results, or a recorded divergence, or a refusal before the
run; never NaN that is called ok, and no warnings."""

import numpy as np
import pandas as pd
import pytest

from helpers import METRICS, SMALL, composed, table_alone
from layerwise.planning.compose import compose_config, options, settings_of
from layerwise.settings.run import RunSettings
from layerwise.settings.validation import ConfigError
from layerwise.tasks import linear_representation, single_index
from single_index_runs import METHODS, card

# Everything here is an error if it warns.
pytestmark = pytest.mark.filterwarnings(
    "error", "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
)

EXTREMES = {
    "ill-conditioned": ["task.kappa_x=1e12", "task.kappa_f=1e12", "task.transfer_kappa_x=1e12"],
    "ill-conditioned in float32": ["task.kappa_x=1e6", "task.kappa_f=1e6", "dtype=float32"],
    "rank one without noise": ["task.rank=1", "task.noise=0"],
    "much noise in float32": ["task.noise=1e6", "dtype=float32"],
    "one input": ["task.d_x=1", "task.rank=1", "task.kappa_x=1"],
    "huge and tiny steps": ["method.lr=[1e-300,0.01,1e30]"],
    "huge and tiny steps in float32": ["method.lr=[1e-300,0.01,1e30]", "dtype=float32"],
}


def settings(method: str, *overrides: str) -> RunSettings:
    words = [f"method={method}", *SMALL, "steps=4", "seeds=1", "record_every=2", *overrides]
    return composed(*words)


def check(table: pd.DataFrame, metrics: list[str]) -> None:
    """Rows are ok with finite metrics, or diverged from the recorded step on."""
    ok = table["status"] == "ok"
    assert ok.any()
    assert np.isfinite(table.loc[ok, metrics].to_numpy(dtype=float)).all()
    assert (table.loc[~ok, "diverged_at"] <= table.loc[~ok, "step"]).all()
    assert (
        table.loc[ok, "diverged_at"].isna().where(table["step"] == table["step"].max(), True).all()
    )


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("method", options("method"))
def test_extremes_of_a_linear_run(method, extreme):
    run = settings(method, *EXTREMES[extreme])
    check(table_alone(linear_representation, run), METRICS)


@pytest.mark.parametrize("method", options("method"))
def test_fewer_samples_than_inputs(method):
    """Undamped, the inverse of the inputs' moment is refused; with damping it runs."""
    few = ["task.batch_size=4", "task.d_x=8"]
    try:
        run = settings(method, *few)
    except ConfigError as error:
        assert "a positive damping are needed" in str(error)
        run = settings(method, *few, "method.damping=[0.001]")
    check(table_alone(linear_representation, run), METRICS)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["task.kappa_x=1e13"], "task.kappa_x = 10000000000000 is not allowed"),
        (["task.kappa_f=1e13"], "task.kappa_f = 10000000000000 is not allowed"),
        (["task.noise=1e7"], "task.noise = 10000000 is not allowed"),
        (["task.kappa_x=1e7", "dtype=float32"], "at most 1e+06, use dtype = float64"),
        (["task.transfer_kappa_x=1e7", "dtype=float32"], "at most 1e+06, use dtype = float64"),
        (["task.d_x=1000000"], "task.d_x = 1000000 is not allowed"),
        (
            ["task.batch_size=100000000", "engine=batches"],
            "with 100000000 samples: it holds them in",
        ),
        (["task=single_index", "task.aspect_ratio=1e-300"], "so that the samples fit in memory"),
        (
            ["task=teacher_student", "task.batch_size=10000000"],
            "task.batch_size = 1e+07 is not allowed: a step of a method on 10000000 samples would take",
        ),
        (
            ["task=single_index", "task.width=1000", "task.d=100", "task.aspect_ratio=1e-5"],
            "task.aspect_ratio = 1e-05 is not allowed: a step of a method on",
        ),
        (
            ["task=single_index", "task.readout_scale=1e300"],
            "task.readout_scale = 1e+300 is not allowed",
        ),
    ],
)
def test_what_precision_and_memory_cannot_hold_is_refused(overrides, sentence):
    with pytest.raises(ConfigError) as caught:
        settings_of(compose_config(["method=sgd", *overrides]))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


SINGLE = ["task=single_index", "task.d=6", "task.width=5", "task.readout_scale=1"]
SINGLE_EXTREMES = {
    "ill-conditioned": ["task.kappa_x=1e12"],
    "few samples": ["task.aspect_ratio=3"],
    "no noise": ["task.noise=0"],
    "huge and tiny steps": ["method.lr=[1e-300,0.01,1e30]"],
    "huge and tiny steps in float32": ["method.lr=[1e-300,0.01,1e30]", "dtype=float32"],
}


def single_table(method: str, *overrides: str) -> pd.DataFrame:
    words = [f"method={method}", *SINGLE, *overrides]
    if "gauss_newton" in card(method).needs:
        words.append("method.damping=[0.001]")
    return table_alone(single_index, composed(*words))


@pytest.mark.parametrize("extreme", SINGLE_EXTREMES)
@pytest.mark.parametrize("method", METHODS)
def test_extremes_of_single_index_training(method, extreme):
    table = single_table(method, "steps=4", "seeds=1", "record_every=2", *SINGLE_EXTREMES[extreme])
    # The alignment of an update of zero, as at step 0, is not a number.
    check(table, ["train_loss", "validation_error", "test_error", "network_error"])


STEP_EXTREMES = {
    "ill-conditioned": ["task.kappa_x=1e12"],
    "ill-conditioned in float32": ["task.kappa_x=1e6", "dtype=float32"],
    "few samples": ["task.aspect_ratio=3"],
    "no noise": ["task.noise=0"],
    "much noise": ["task.noise=1e6"],
    "smallest": ["task.d=2", "task.width=2"],
    "a readout close to zero": ["task.readout_scale=1e-12"],
    "huge and tiny steps": ["method.lr=[1e-12,0.01,1e30]"],
    "huge and tiny steps in float32": ["method.lr=[1e-12,0.01,1e30]", "dtype=float32"],
}
MEASURED = [
    *("alignment", "alignment_readout", "alignment_direction", "cosine_biased", "spike_ratio"),
    *("test_error", "test_error_linear", "noise_floor", "singular_values"),
]


# SOAP's first step only sets up its bases.
@pytest.mark.parametrize("extreme", STEP_EXTREMES)
@pytest.mark.parametrize("method", [name for name in METHODS if name != "soap"])
def test_extremes_of_one_step(method, extreme):
    """All that is measured is finite, but for an error beyond the precision's range, which is infinite;
    alignments are cosines."""
    words = ["seeds=2", "steps=1", "record_every=1", "method.lr=[0.1]"]
    words += ["task.lr_unit=preactivations", f"task.metrics=[{','.join(MEASURED)}]"]
    table = single_table(method, *words, *STEP_EXTREMES[extreme])
    ok = (table["status"] == "ok") & (table["step"] == 1)
    # Newton's Hessian is singular where there are fewer samples than weights.
    lost = table.loc[(table["status"] == "diverged") & (table["step"] == 1), "lr"]
    assert (lost > 1).all() or (method, extreme) == ("newton", "few samples")
    table = table[ok]
    if "float32" in extreme:  # a tiny step is lost in the weights
        still = table["alignment"].isna()
        assert (still == table["spike_ratio"].isna()).all()
        assert (table.loc[still, "lr"] == 1e-12).all()
        table = table[~still]
    measured = table.select_dtypes("number").drop(columns=["spike_ratio", "diverged_at"])
    assert (table["spike_ratio"] >= 1).all()  # infinite for an update of rank one
    beyond = measured["test_error"] == np.inf
    assert not beyond.any() or (measured.loc[beyond, "lr"] > 1e12).all()
    measured.loc[beyond, "test_error"] = 0.0
    assert np.isfinite(measured.to_numpy(dtype=float)).all(), measured.T
    for name in ("alignment_direction", "alignment", "alignment_readout", "cosine_biased"):
        assert table[name].abs().max() <= 1 + 1e-6
