"""Single-index training by its public interface: columns, rows, refusals, and what it learns."""

import numpy as np
import pandas as pd
import pytest

from helpers import composed, table_alone
from layerwise.planning.compose import compose_config, settings_of
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.settings.validation import ConfigError
from layerwise.tasks import single_index
from single_index_runs import METHODS, card, method_file

SMALL = (
    "task=single_index",
    "task.d=40",
    "task.width=30",
    "task.kappa_x=30",
    "seeds=2",
    "steps=6",
    "record_every=3",
)
# A dense Hessian takes few weights.
FEW = {"newton": ["task.d=20", "task.width=10"]}
METRICS = ["train_loss", "alignment", "validation_error", "test_error", "network_error"]


def table(*overrides: str) -> pd.DataFrame:
    return table_alone(single_index, composed(*SMALL, *overrides))


def dampings(method: str, *values: float) -> list[str]:
    return [f"method.damping={list(values)}"] if card(method).takes_damping else []


@pytest.mark.parametrize("method", METHODS)
def test_columns_and_rows(method):
    """Both layers too: every allowed method has its rule and its network."""
    own = [*dampings(method, 0.05, 0.5), *FEW.get(method, [])]
    runs = table(f"method={method}", "method.lr=[0.02,0.2]", "task.layers=both", *own)
    assert list(runs.columns) == [
        *("method", "rule", "network", "damping", "lr", "seed", "step"),
        *("d", "aspect_ratio", "width", "kappa_x", "spectrum", "basis", "link", "activation"),
        *("noise", "readout_scale", "layers", "samples", "lr_unit", "damping_unit"),
        *("n_choice", "n_validation", "n_test"),
        *METRICS,
        *("status", "diverged_at", "failure"),
    ]
    keys = ["damping", "lr", "seed", "step"]
    assert runs[keys].drop_duplicates().sort_values(keys).index.tolist() == list(range(len(runs)))
    assert len(runs) == (2 if card(method).takes_damping else 1) * 2 * 2 * 3
    assert runs["alignment"].isna().equals(runs["step"] == 0)
    assert np.isfinite(runs[[name for name in METRICS if name != "alignment"]]).all(axis=None)
    assert (runs["status"] == "ok").all()
    assert runs["diverged_at"].dtype == "Int64"
    assert runs["diverged_at"].isna().all()


def test_methods_differ_in_rule_network_and_settings():
    """But for the variants of KFAC that differ in P_G alone, which this network has not."""
    assert {method_file(one)["network"] for one in METHODS} == set(SingleIndexTask.networks)
    final = {
        one: table(f"method={one}", "method.lr=[0.1]", *dampings(one, 0.1), *FEW["newton"])
        for one in METHODS
    }
    errors = {one: runs["test_error"].iloc[-1] for one, runs in final.items()}
    assert errors.pop("kfac_input") == errors["kfac"]
    # And for those that leave alone what this task does not train.
    assert errors.pop("sgd_features") == errors["sgd"]
    assert errors.pop("kfac_first") == pytest.approx(errors["kfac"], rel=1e-9)
    assert len(set(errors.values())) == len(errors)


def test_values_are_in_the_rows_of_their_own_run():
    """Each (damping, lr) alone gives its rows of the table of all."""
    runs = table("method=kfac", "method.damping=[0.05,0.5]", "method.lr=[0.1,0.4]")
    for damping, lr in ((0.05, 0.4), (0.5, 0.1)):
        own = table("method=kfac", f"method.damping=[{damping}]", f"method.lr=[{lr}]")
        rows = runs[(runs["damping"] == damping) & (runs["lr"] == lr)].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, own, rtol=1e-9)


def test_the_first_of_many_steps_has_the_alignment_of_one_step_alone():
    """In the preactivations' unit too: an alignment does not depend on the step size."""
    words = ["method=kfac", "method.damping=[0.05]", "method.lr=[0.3]", "record_every=1"]
    many = table(*words).set_index("step").loc[1]
    for unit in ("natural", "preactivations"):
        one = table(*words, "steps=1", f"task.lr_unit={unit}").set_index("step").loc[1]
        assert one["alignment"].tolist() == pytest.approx(many["alignment"].tolist(), rel=1e-9)


def test_a_diverged_run_has_its_step_and_status():
    runs = table(
        "method=sgd", "method.lr=[0.1,1e4]", "task.activation=linear", "record_every=1", "steps=4"
    )
    wild, tame = runs[runs["lr"] == 1e4], runs[runs["lr"] == 0.1]
    assert tame["diverged_at"].isna().all()
    assert (tame["status"] == "ok").all()
    assert wild["diverged_at"].between(1, 4).all()
    diverged = wild["step"] >= wild["diverged_at"]
    assert (wild["status"] == np.where(diverged, "diverged", "ok")).all()
    assert wild["test_error"].isna().equals(diverged.astype(bool))


def test_kfac_learns_better_features_than_sgd():
    """At kappa_x = 100 after 20 steps, each at the step size with the least validation error."""
    best = {}
    for method, damping in (("sgd", "[]"), ("kfac", "[0.05]")):
        runs = table(
            *(f"method={method}", f"method.damping={damping}", "method.lr=[0.1,0.3,1.0,3.0]"),
            *("task.kappa_x=100", "steps=20", "record_every=20", "seeds=3"),
        )
        final = runs[runs["step"] == 20].groupby("lr")[[*METRICS]].median()
        best[method] = final.loc[final["validation_error"].idxmin()]
        start = runs[runs["step"] == 0]["test_error"].median()
    assert best["kfac"]["alignment"] > best["sgd"]["alignment"] + 0.05
    assert best["kfac"]["test_error"] < best["sgd"]["test_error"] < start


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["method=dfw"],
            "dfw needs a linear hidden layer, which this network has not",
        ),
        (
            ["method=newton"],
            "task.width * task.d = 1200 is not allowed with method.rule = 'newton.Newton'",
        ),
        (
            ["method=sgd", "method.lr=[]"],
            "method.lr = [] is not allowed: at least one value is needed",
        ),
        (
            ["task.layers=all"],
            "task.layers = 'all' is not allowed: allowed is 'first' or 'both'",
        ),
        (["task.samples=fix"], "did you mean 'fixed'?"),
        (["task.aspect_ratio=40"], "task.aspect_ratio = 40.0 is not allowed: at most d/2 = 20"),
        (
            ["method=kfac", "method.damping=[0]", "task.layers=both", "task.aspect_ratio=2"],
            "method.damping = 0 is not allowed with task.layers = 'both': the second moment of "
            "task.width = 30 features on 20 samples is singular",
        ),
    ],
)
def test_what_is_refused(overrides, sentence):
    with pytest.raises(ConfigError) as refused:
        table(*overrides)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_instances_of_a_file_are_refused(tmp_path):
    settings = settings_of(compose_config([*SMALL]))
    with pytest.raises(ConfigError, match="this task draws its own"):
        single_index.run([[settings]], tmp_path / "instances.npz", [lambda step: None])
