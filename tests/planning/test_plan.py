"""From configuration to jobs: what is planned, in which parts, and what a job's content depends on."""

import json
from dataclasses import replace
from itertools import cycle

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from helpers import composed
from layerwise.planning.compose import (
    compose_config,
    compose_experiment,
    options,
    settings_of,
)
from layerwise.planning.identity import results_label
from layerwise.planning.overrides import parsed, read
from layerwise.planning.places import CONFIG_DIR
from layerwise.planning.plan import ExperimentPlan, plan, plan_all
from layerwise.settings.validation import ConfigError

SMALL = ("seeds=2", "task.d_x=8", "task.d_y=5", "task.rank=2", "task.batch_size=32")


def apart(*overrides: str) -> ExperimentPlan:
    """A plan whose jobs keep methods apart, as ``jobs_of: method`` of a scale makes them."""
    return replace(plan("contraction", "paper", (*SMALL, *overrides)), methods_apart=True)


def content(*overrides: str) -> dict[tuple[str, int], str]:
    return {name: job.content for name, job in apart(*overrides).jobs(16).items()}


def test_parts_cover_every_cell_once_and_in_order():
    planned = apart()
    whole, parts = planned.jobs(16), planned.jobs(4)
    methods = planned.experiment.methods
    assert list(whole) == [(method, 0) for method in methods]
    assert list(parts) == [(method, part) for method in methods for part in (0, 1)]
    for method in methods:
        assert parts[method, 0].cells + parts[method, 1].cells == whole[method, 0].cells
    assert len(parts["sgd", 0].cells) == 4


@pytest.mark.parametrize(("size", "problems"), [(1, 1), (2, 1), (3, 2), (8, 2), (18, 6)])
def test_a_job_of_all_methods_has_all_of_a_problems(size, problems):
    """Whole problems, though they be more cells than a job would have, and two that are drawn alike in one;
    a method's next to each other."""
    planned = plan("contraction", "paper", SMALL)
    jobs = planned.jobs(size)
    assert [name for name, _ in jobs] == ["all"] * (6 // problems)
    for job in jobs.values():
        pairs = [(cell.settings.method.name, cell.problem) for cell in job.cells]
        names = list(dict.fromkeys(problem for _, problem in pairs))
        assert len(names) == problems
        assert pairs == [(method, name) for method in planned.experiment.methods for name in names]
    assert sum(len(job.cells) for job in jobs.values()) == len(planned.cells)


def test_an_added_method_runs_alone():
    """It leaves the job of the others, of which a setting changes all."""
    before = plan("contraction", "paper", SMALL).jobs(18)
    added = plan("contraction", "paper", (*SMALL, "+method=adam")).jobs(18)
    assert list(added) == [("all", 0), ("adam", 0)]
    assert added["all", 0].content == before["all", 0].content
    changed = plan("contraction", "paper", (*SMALL, "methods.kfac.damping=[0.5]")).jobs(18)
    assert list(changed) == [("all", 0)] and changed["all", 0].content != before["all", 0].content


def test_problems_that_differ_in_their_steps_still_do_at_the_quick_scale():
    steps = {cell.settings.steps for cell in plan("transfer", "quick").cells}
    assert steps == {1, 20}
    assert {cell.settings.steps for cell in plan("transfer", "paper").cells} == {50, 200, 800}


def test_at_the_quick_scale_a_job_runs_all_methods_in_their_order():
    overrides = ("seeds=2", "steps=3")
    together = plan("contraction", "quick", overrides).jobs(16)
    ((name, job),) = together.items()
    assert name == ("all", 0)
    methods = json.loads(job.content)
    assert [one["settings"]["method"]["name"] for one in methods] == ["sgd", "sgd_features", "kfac"]
    for one in methods:
        assert [problem["varied"]["kappa_x"] for problem in one["problems"]] == [1, 100]


def test_a_methods_setting_changes_its_own_job_only():
    before, after = content(), content("methods.kfac.damping=[0.5]")
    assert before["sgd", 0] == after["sgd", 0]
    assert before["kfac", 0] != after["kfac", 0]


def test_an_axis_of_the_experiment_can_be_replaced():
    problems = json.loads(content("task.kappa_x=[7]")["sgd", 0])[0]["problems"]
    assert {problem["task"]["kappa_x"] for problem in problems} == {7}
    assert {problem["varied"]["kappa_f"] for problem in problems} == {1, 10}


def test_instances_are_drawn_once_for_problems_that_share_them():
    planned = plan("contraction", "paper", (*SMALL, "task.kappa_f=[1]", "task.kappa_x=[1,10]"))
    for job in planned.jobs().values():
        assert [json.loads(one)["kappa_x"] for one in job.instances] == [1, 10]
    (job,) = plan("sample_size", "quick", ["task.batch_size=[200,300,400]"]).jobs().values()
    assert len({cell.problem for cell in job.cells}) == 3
    # One of the tuning seeds, and one of those that report.
    assert [json.loads(one)["seeds"] for one in job.instances] == [[2, 3], [0, 1]]
    (job,) = plan("one_step_alignment", "quick").jobs().values()
    assert job.instances == ()


@pytest.mark.parametrize(
    "again",
    [
        ["b=2", "method.kfac.lr=[0.1,1]", "+method=soap"],
        ["+method=soap", "methods.kfac.lr=[0.10, 1]", "b=2"],
    ],
)
def test_order_and_spelling_of_overrides_are_the_same_result(again):
    overrides = ["method.kfac.lr=[0.1,1]", "+method=soap", "b=2"]
    assert results_label("paper", overrides) == results_label("paper", again)
    assert results_label("quick", overrides) != results_label("paper", overrides)


def test_swapped_values_of_overrides_are_another_result():
    assert results_label("paper", ["a=1", "b=2"]) != results_label("paper", ["a=2", "b=1"])
    assert results_label("paper", ["a=1", "b=2"]) != results_label("paper", ["a=1"])


def by_hydra(overrides):
    """Hydra's own composition."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("config", overrides)


# Which files have a rule, or an optimizer, that is not the package's, Hydra does not know.
FILES = ("rule_file", "optimizer_file")


@pytest.mark.parametrize(
    ("task", "method"), list(zip(cycle(options("task")), options("method"), strict=False))
)
def test_a_run_is_what_hydra_composes(task, method):
    """Of several kinds of overrides, the later over the earlier. Every task's file and every method's:
    neither has anything in it that the other changes."""
    words = [
        f"task={task}", f"method={method}", "seeds=[3,1]", "task.basis=axis", "task.basis=rotated",
        "method.lr=[0.1,1]", "+method.options.new={a: [1]}", "++method.options.other=x", "stop_at=null",
        "task.kappa_x=${seeds}", "out='a b.csv'", "record_every=log", "dtype=float32",
    ]  # fmt: skip
    ours = OmegaConf.to_container(compose_config(words), resolve=True)
    assert [ours["method"].pop(key) for key in FILES] == [None, None]
    assert ours == OmegaConf.to_container(by_hydra(words), resolve=True)


@pytest.mark.parametrize("scale", options("scale"))
@pytest.mark.parametrize("name", options("experiment"))
def test_what_is_planned_is_what_hydra_composes(name, scale):
    """Hydra's own composition, with each of its methods, gives the same settings and overrides."""
    task = "task.kappa_x=0.5"
    ours = compose_experiment(
        name, scale, read([task, "method.sgd.lr=[0.7]", "+method.sgd.options.new={a: [1]}"])
    )
    every = [f"+method@methods.{method}={method}" for method in ours["methods"]]
    hydras = by_hydra(
        ["~method", *every, f"+experiment={name}", f"+scale={scale}", task,
         "methods.sgd.lr=[0.7]", "+methods.sgd.options.new={a: [1]}"]
    )  # fmt: skip
    expected = OmegaConf.to_container(hydras, resolve=True)
    assert {"sgd", *expected["experiment"]["methods"]} == set(ours["methods"])
    for method in ours["methods"].values():
        assert [method.pop(key) for key in FILES] == [None, None]
    assert ours == expected


@pytest.mark.parametrize(
    "words",
    [
        [
            "method=kfac",
            "method.lr=[1e-300,0.1]",
            "seeds=[5,2]",
            "dtype=float32",
            "task.kappa_x=1e6",
        ],
        [
            "method=muon",
            "+method.options.momentum=0.9",
            "task.transfer_kappa_x=null",
            "stop_at=0.1",
        ],
        ["task=single_index", "method=gauss_newton", "task.metrics=[alignment,test_error]"],
    ],
)
def test_the_tests_own_composition_is_hydras(words):
    assert composed(*words) == settings_of(compose_config(words))


def test_a_scale_leaves_what_an_override_sets():
    lrs = [0.1, 0.2, 0.3, 0.4, 0.5]
    planned = plan(
        "contraction", "quick", ["steps=70", f"method.sgd.lr={lrs}", "task.kappa_x=[1,2,3]"]
    )
    settings = {cell.settings.method.name: cell.settings for cell in planned.cells}
    assert settings["sgd"].steps == 70 and settings["sgd"].method.lr == lrs
    assert len(settings["kfac"].method.lr) == 3
    assert [cell.varied["kappa_x"] for cell in planned.cells[::3]] == [1, 2, 3]


def test_an_added_method_joins_the_experiments_that_can_have_it():
    planned = plan_all(
        ["contraction", "head_to_head", "one_step_alignment"], "quick", ["+method=adam"]
    )
    methods = {name: one.experiment.methods for name, one in planned.items()}
    assert methods["contraction"] == ["sgd", "sgd_features", "kfac", "adam"]
    assert methods["head_to_head"].count("adam") == 1
    assert methods["one_step_alignment"] == ["sgd", "kfac", "adam"]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("task={kappa_x: 3}", "task = '{kappa_x:3}' is unknown"),
        ("task.noise=[0,1]", r"task.noise = \[0, 1\] is not allowed: allowed is one value, lists are for "
                             "what the experiment varies, task.kappa_x, task.kappa_f"),
        ("~steps", "the override '~steps' is not allowed: allowed are key=value"),
        ("method@x=sgd", "the override 'method@x=sgd' is not allowed"),
        ("task.noise", "it is not of Hydra's form key=value"),
        ("task.kappa_x.low=3", "task.kappa_x.low = 3 is not allowed"),
        ("method.kfac.lrs=[1]", "there is no such key, did you mean 'method.kfac.lr'"),
        ("experiment.methods=[sgd,kfacc]", "method = 'kfacc' is unknown, did you mean 'kfac'"),
        ("stop_at=${nothing}", "Interpolation key 'nothing' not found"),
    ],
)  # fmt: skip
def test_overrides_that_cannot_be_used_are_refused(override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan("contraction", "quick", [override])


@pytest.mark.parametrize("word", ["task.spectrum=${oc.env:SECRET}", "seeds=${oc.env:SECRET}"])
def test_the_environment_is_not_read(word, monkeypatch):
    monkeypatch.setenv("SECRET", "hidden value")
    with pytest.raises(ConfigError, match="it calls a resolver") as refused:
        plan("contraction", "quick", (word,))
    assert "hidden value" not in str(refused.value)


def test_an_added_method_is_left_out_where_it_does_not_fit():
    """Of all experiments; where one is asked for by name it is refused, and so is what fits nowhere."""
    planned = plan_all(None, "quick", ["+method=dfw"])
    assert "dfw" in planned["contraction"].experiment.methods
    assert "dfw" not in planned["one_step_alignment"].experiment.methods
    assert "needs a linear hidden layer" in planned["one_step_alignment"].left_out["dfw"]
    with pytest.raises(ConfigError, match="dfw needs a linear hidden layer"):
        plan("one_step_alignment", "quick", ["+method=dfw"])


def test_an_experiment_may_tune_on_seeds_of_its_own_number():
    """Next to those that report; an override and a small scale have their own say."""

    def tuned_on(scale, *overrides):
        settings = plan("mlp_basis", scale, overrides).cells[0].settings
        assert not {*settings.tune_seeds} & {*settings.seeds}
        return settings.tune_seeds

    assert tuned_on("paper") == [104, 105, 106, 107]
    assert tuned_on("paper", "tune_seeds=[1,2]") == [1, 2]
    assert len(tuned_on("quick")) == 2


@pytest.mark.parametrize(
    "elements",
    [
        [*map(str, range(-40, 80))],
        [f"{place / 7:.6f}" for place in range(120)],
        ["1", "-2.50", "+3", "0", "-0", "0.0", "1e3", "1_000", "inf", "true", "a word", "007"] * 12,
    ],
)
def test_a_long_list_is_read_as_hydra_reads_it(elements: list[str]) -> None:
    text = f"task.kappa_x=[{', '.join(elements)}]"
    ours = parsed(text)
    hydras = OverridesParser.create().parse_override(text)
    assert repr(ours.value()) == repr(hydras.value())
    assert [type(value) for value in ours.value()] == [type(value) for value in hydras.value()]
