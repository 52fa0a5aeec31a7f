"""From configuration to jobs: what is planned, in which parts, and what a job's content depends on."""

import json

import pytest

from layerwise.plan import plan, results_label
from layerwise.settings import ConfigError

SMALL = ("seeds=2", "task.d_x=8", "task.d_y=5", "task.rank=2", "task.batch_size=32")


def content(*overrides: str) -> dict[tuple[str, int], str]:
    jobs = plan("contraction", "paper", (*SMALL, *overrides)).jobs(16)
    return {name: job.content for name, job in jobs.items()}


def test_parts_cover_every_cell_once_and_in_order():
    planned = plan("contraction", "paper", SMALL)
    whole, parts = planned.jobs(16), planned.jobs(4)
    assert list(whole) == [("sgd", 0), ("kfac", 0)]
    assert list(parts) == [("sgd", 0), ("sgd", 1), ("kfac", 0), ("kfac", 1)]
    for method in ("sgd", "kfac"):
        assert parts[method, 0].cells + parts[method, 1].cells == whole[method, 0].cells
    assert len(parts["sgd", 0].cells) == 4


@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_parts_of_no_size_are_refused(value):
    with pytest.raises(ConfigError, match="cells_per_job = .* is not allowed"):
        plan("contraction", "paper", SMALL).jobs(value)


def test_a_methods_setting_changes_its_own_job_only():
    before, after = content(), content("methods.kfac.damping=[0.5]")
    assert before["sgd", 0] == after["sgd", 0]
    assert before["kfac", 0] != after["kfac", 0]


def test_an_axis_of_the_experiment_can_be_replaced():
    problems = json.loads(content("task.kappa_x=[7]")["sgd", 0])["problems"]
    assert {problem["task"]["kappa_x"] for problem in problems} == {7}
    assert {problem["varied"]["kappa_f"] for problem in problems} == {1, 10}


def test_instances_are_drawn_once_for_problems_that_share_them():
    planned = plan("contraction", "paper", (*SMALL, "task.kappa_f=[1]", "task.kappa_x=[1,10]"))
    assert [one["kappa_x"] for one in json.loads(planned.instances)] == [1, 10]
    assert plan("one_step_alignment", "quick").instances == "[]"


def test_the_order_of_overrides_is_the_same_result():
    assert results_label("paper", ["a=1", "b=2"]) == results_label("paper", ["b=2", "a=1"])
    assert results_label("paper", ["a=1", "b=2"]) != results_label("paper", ["a=2", "b=1"])
