"""A setting is used or refused: each one, changed to another valid value, changes what is measured.

Every setting of every task and every method is here, or among EXEMPT with the reason.
"""

from functools import cache

import pandas as pd
import pytest

from helpers import composed
from layerwise.planning.compose import options
from layerwise.settings.method import MethodSettings
from layerwise.settings.rule import rule_card
from layerwise.settings.run import RunSettings, run_settings
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import ConfigError
from layerwise.tasks.run import run_table

# Small runs that measure all that their task can.
BASES = {
    "linear_representation": (
        "task.d_x=8", "task.d_y=5", "task.rank=3", "task.batch_size=64", "task.n_transfer=50",
        "seeds=2", "steps=4", "record_every=2", "method.lr=[0.05,0.1]",
    ),
    "single_index": (
        "task=single_index", "task.d=8", "task.width=6", "task.aspect_ratio=0.25", "task.n_choice=20",
        "task.n_validation=20", "task.n_test=30", "task.layers=both", "task.readout_scale=0.5",
        "seeds=2", "steps=4", "record_every=2", "method.lr=[0.05,0.1]",
    ),
    "teacher_student": (
        "task=teacher_student", "task.d_x=6", "task.d_y=3", "task.rank=2", "task.width=5",
        "task.depth=2", "task.batch_size=30", "task.n_validation=20", "task.n_test=30",
        "task.n_transfer=20", "task.n_choice=20", "seeds=1", "steps=2", "record_every=2",
        "method.lr=[0.05,0.1]",
    ),
    "digits": (
        "task=digits", "task.components=6", "task.width=5", "task.depth=2", "task.batch_size=30",
        "task.labelings=3", "seeds=1", "steps=2", "record_every=2", "method.lr=[0.05,0.1]",
    ),
}  # fmt: skip
# Another valid value of every setting of a run and of its task.
RUN = {
    "engine": "batches", "seeds": [5, 6], "steps": 5, "stop_at": 0.999, "record_every": 1,
    "dtype": "float32", "method": "adam", "task": None, "schedule": "cosine",
    "tune_seeds": [8, 9], "tune_as": {"noise": 0.7}, "select_by": "mean_train_loss", "target": 0.5,
}  # fmt: skip
# What those need that tune: seeds, and a rule for each task.
TUNED = {
    "linear_representation": {"tune_seeds": [7], "select_by": "subspace_distance"},
    "single_index": {"tune_seeds": [7], "select_by": "validation_error"},
    "teacher_student": {"tune_seeds": [7], "select_by": "validation_error"},
    "digits": {"tune_seeds": [7], "select_by": "validation_error"},
}
TASK = {
    "linear_representation": {
        "d_x": 9, "d_y": 6, "rank": 2, "kappa_x": 30.0, "kappa_f": 2.0, "spectrum": "two_level",
        "basis": "axis", "transfer_kappa_x": 5.0, "inputs": "rademacher", "batch_size": 70,
        "noise": 0.3, "n_transfer": 60, "head_scale": 0.5, "metrics": ["train_loss"],
    },
    "single_index": {
        "d": 9, "width": 7, "aspect_ratio": 0.3, "kappa_x": 30.0, "spectrum": "two_level",
        "basis": "axis", "link": "relu", "activation": "tanh", "noise": 0.3, "readout_scale": 0.4,
        "layers": "first", "samples": "fixed", "lr_unit": "preactivations", "damping_unit": "optimal",
        "n_choice": 25, "n_validation": 25, "n_test": 40, "metrics": ["train_loss"],
    },
    "teacher_student": {
        "d_x": 7, "d_y": 4, "rank": 3, "kappa_x": 30.0, "spectrum": "two_level", "basis": "axis",
        "directions": "raw", "link": "tanh", "noise": 0.3, "depth": 1, "width": 6,
        "activation": "tanh", "batch_size": 40, "n_train": 50, "output_damping": 0.5,
        "n_validation": 25, "n_test": 40, "n_transfer": 25, "n_choice": 25,
        "metrics": ["train_loss"],
    },
    "digits": {
        "inputs": "pixels", "components": 8, "kappa_x": 30.0, "spectrum": "two_level",
        "basis": "axis", "labelings": 4, "depth": 1, "width": 6, "activation": "tanh",
        "batch_size": 40, "n_train": 900, "n_validation": 150, "shots": 4, "n_choice": 80,
        "output_damping": 0.5, "metrics": ["train_loss"],
    },
}  # fmt: skip
# A rule that divides by P.
WITH_P = {
    "method.rule": "kfac.KFAC", "method.damping": [0.5],
    "method.options": {"precondition_outputs": True, "lr_head": None},
}  # fmt: skip
# What a change needs beside it, to be valid at all.
BESIDE = {
    ("linear_representation", "inputs"): {"engine": "batches"},
    ("single_index", "lr_unit"): {"task.layers": "first"},
    ("single_index", "damping_unit"): {
        "method.rule": "kfac.KFAC",
        "method.damping": [0.5],
        "method.options": {"precondition_outputs": False, "lr_head": None},
    },
    ("teacher_student", "output_damping"): WITH_P,
    ("digits", "output_damping"): WITH_P,
}
# Another valid value of every option.
OPTIONS = {
    "beta1": 0.5, "beta2": 0.9, "epsilon": 0.01, "lr_head": 0.7, "factor_decay": 0.5,
    "weight_decay": 0.5, "first_layer_only": True, "freeze_others": True, "momentum": 0.5,
    "newton_schulz_steps": 3, "bfloat16": False, "optimizer": "torch.optim.RMSprop",
}  # fmt: skip
EXEMPT = {
    "device": "no second device is at hand; the whole run is on the one that is named",
    "optimizer_packages": "a list of what is allowed, which changes nothing that is allowed",
    "rule_packages": "likewise",
    "method.name": "what tables and figures call the method",
    "task.name": "another task is another table",
    "method.rule_file": "where the rule's class is, which the rule names",
    "method.optimizer_file": "where the optimizer's class is, which its option names",
    "method.options.precondition_outputs": "true where the network offers it, else refused: below",
}


# What several settings are changed from is run once.
_measured: dict[str, pd.DataFrame] = {}


def measured(settings: RunSettings) -> pd.DataFrame:
    """The measured columns of a run's table, and its recorded steps and seeds."""
    key = settings.model_dump_json()
    if key not in _measured:
        _measured[key] = _run(settings)
    return _measured[key]


def _run(settings: RunSettings) -> pd.DataFrame:
    table = run_table(settings)
    return table.drop(
        columns=[*settings.task.model_dump(), "method", "rule", "network"], errors="ignore"
    )


@cache
def base(task: str, method: str = "sgd", *changes: str) -> RunSettings:
    """What measures all metrics, unless it is told otherwise."""
    metrics = f"task.metrics=[{','.join(TASKS[task].measures)}]"
    own = [f"method={method}", *BASES[task], metrics, *changes]
    if rule_card(composed(f"method={method}").method.rule).takes_damping:
        own.append("method.damping=[0.5,1.0]")
    return composed(*own)


def changed(settings: RunSettings, changes: dict) -> RunSettings:
    content = settings.model_dump()
    for key, value in changes.items():
        part = content
        *above, last = key.split(".")
        for name in above:
            part = part[name]
        part[last] = value
    return run_settings(content)


def assert_used_or_refused(
    settings: RunSettings, key: str, value, beside: dict | None = None
) -> None:
    """The table changes with the key; or the change is refused by a sentence that names it."""
    start = changed(settings, beside or {})
    before = measured(start)
    try:
        after = measured(changed(start, {key: value}))
    except ConfigError as refusal:
        word = key.rsplit(".", 1)[-1]
        assert word in str(refusal), f"{key}: {refusal}"
        return
    assert not before.equals(after), f"{key} = {value!r} is accepted and changes nothing"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("key", [key for key in RUN if key not in ("method", "task")])
def test_every_setting_of_a_run(task, key):
    settings = base(task)
    value = RUN[key]
    if key == "engine" and settings.engine == value:
        value = "moments"
    tuned = TUNED[task] if key in ("tune_seeds", "tune_as", "select_by", "target") else {}
    assert_used_or_refused(settings, key, value, tuned)


@pytest.mark.parametrize(("task", "key"), [(task, key) for task in TASK for key in TASK[task]])
def test_every_setting_of_a_task(task, key):
    settings, beside = base(task), BESIDE.get((task, key), {})
    assert_used_or_refused(settings, f"task.{key}", TASK[task][key], beside)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", options("method"))
def test_every_setting_of_a_method(task, method):
    """Step sizes, dampings, network, rule and options of every method that the task's network takes: what
    these change, the training loss shows, or what a choice is selected by."""
    noisy = method == "newton" and "noise" in TASKS[task].model_fields
    sizes = ("task.noise=0.2",) if noisy else ()
    try:
        shown = f"task.metrics=[train_loss,{TUNED[task]['select_by']}]"
        settings = base(task, method, *sizes, shown)
    except ConfigError as refusal:
        assert "needs" in str(refusal)
        return
    card = settings.method.card
    changes = [("lr", [0.03, 0.07])]
    if card.takes_damping:
        changes.append(("damping", [0.3, 2.0]))
    networks = TASKS[task].networks
    assert_used_or_refused(settings, "method.fixed_lr", settings.method.lr, TUNED[task])
    changes += [("network", name) for name in networks if name != settings.method.network]
    for key, value in changes:
        assert_used_or_refused(settings, f"method.{key}", value)
    rule = "spectral.SpectralDescent" if method == "sgd" else "sgd.SGD"
    if settings.method.rule != rule:
        content = settings.model_dump()
        content["method"] |= {"rule": rule, "options": {}, "damping": []}
        assert not measured(settings).equals(measured(run_settings(content)))
    for option in {*settings.method.options, *card.options}:
        if option in ("precondition_outputs", "first_layer_only", "freeze_others"):
            value = not settings.method.options.get(option, False)
        elif option == "optimizer":
            value = OPTIONS[option]
        else:
            value = OPTIONS[option]
        own = settings
        if option == "optimizer":  # with no keywords that another class has not
            own = changed(
                settings, {"method.options": {"optimizer": settings.method.options[option]}}
            )
        assert_used_or_refused(own, f"method.options.{option}", value)


@pytest.mark.parametrize("task", TASKS)
def test_null_stands_for_what_the_record_states(task):
    """What is filled in is what a run with the value spelled out gets, and its table is the same."""
    settings = base(task, "kfac")
    offered = "outputs" in settings.task.offers("plain")
    assert settings.method.options["precondition_outputs"] is offered
    spelled = changed(settings, {"method.options.precondition_outputs": offered})
    assert spelled == settings
    if not offered:
        with pytest.raises(ConfigError, match=r"options\.precondition_outputs = true"):
            changed(settings, {"method.options.precondition_outputs": True})


def test_no_setting_is_left_out():
    listed = {*RUN, *EXEMPT}
    assert {*RunSettings.model_fields} <= listed
    for name, task in TASKS.items():
        assert {*task.model_fields} - {"name"} == {*TASK[name]}
    walked = {"lr", "damping", "rule", "network", "options", "fixed_lr"}
    assert {f"method.{key}" for key in MethodSettings.model_fields} <= listed | {
        f"method.{key}" for key in walked
    }
    for method in options("method"):
        settings = composed(f"method={method}", "task.rank=2", "task.d_x=20").method
        for option in {*settings.options, *settings.card.options}:
            assert option in OPTIONS or f"method.options.{option}" in EXEMPT, option
