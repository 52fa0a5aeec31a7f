"""Variants of which every run is lost are left out, and the others go on as they would."""

import pandas as pd
import pytest

from helpers import SMALL, composed, table_alone
from layerwise.methods.base import OfGradients, UndividedError, of_variants
from layerwise.planning.compose import options
from layerwise.tasks import linear_representation, loop, single_index, teacher_student
from layerwise.tasks.runs import Runs
from students import SMALL as STUDENTS

# What SOAP and Newton make of their input is decided by rounding where it is singular.
STEADY = {"soap": ["task.d_x=3", "task.d_y=3"], "newton": ["method.damping=[10.0]"]}
# These stay bounded at any step size.
BOUNDED = {"amgd", "dfw"}
SINGLE_INDEX = [
    "task=single_index",
    "task.d=12",
    "task.width=9",
    "task.aspect_ratio=0.3",
    "task.layers=both",
]
OTHERS = {"single_index": (single_index, SINGLE_INDEX), "students": (teacher_student, STUDENTS)}


@pytest.fixture
def both_ways(monkeypatch):
    """The tables of settings with the lost left out and carried along, and how often some were left out."""

    def tables(task, words):
        run, left_out = composed(*words), []
        keep = Runs.keep
        monkeypatch.setattr(Runs, "keep", lambda *of: left_out.append(of) or keep(*of))
        without = table_alone(task, run)
        monkeypatch.setattr(loop, "LOOK_EVERY", 1000)
        carried, times = table_alone(task, run), len(left_out)
        monkeypatch.undo()
        return without, carried, times

    return tables


def check_equal(without, carried):
    pd.testing.assert_frame_equal(without, carried, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", options("method"))
def test_the_others_go_on_as_they_would_on_the_linear_task(method, both_ways):
    words = [*SMALL, "steps=25", "seeds=2", "method.lr=[0.1,1e9,0.05]", *STEADY.get(method, [])]
    without, carried, times = both_ways(linear_representation, [f"method={method}", *words])
    assert (times > 0) == (method not in BOUNDED)
    check_equal(without, carried)


@pytest.mark.parametrize("task", OTHERS)
@pytest.mark.parametrize("method", ["sgd", "adam_95", "kfac", "bn_hidden_adam", "shampoo"])
def test_and_on_raw_samples(method, task, both_ways):
    module, small = OTHERS[task]
    words = [*small, f"method={method}", "steps=25", "seeds=2", "method.lr=[0.1,1e12,0.05]"]
    without, carried, times = both_ways(module, words)
    assert times > 0
    check_equal(without, carried)


def test_some_dampings_of_a_step_size_may_be_lost(both_ways):
    words = [*SMALL, "method=gauss_newton", "steps=25", "seeds=2", "method.lr=[0.1,8.0]"]
    without, carried, times = both_ways(
        linear_representation, [*words, "method.damping=[1e-6,1.0,1e4]"]
    )
    lost = without.groupby(["damping", "lr"]).diverged_at.max().notna()
    assert times > 0 and lost[1e-6, 8.0] and not lost[1e4, 8.0]
    check_equal(without, carried)


def test_averages_over_batches_go_on_with_those_that_are_left(both_ways):
    words = [*SMALL, "method=kfac_average", "steps=25", "seeds=2", "method.lr=[0.1,1e9]"]
    without, carried, times = both_ways(linear_representation, words)
    assert times > 0
    check_equal(without, carried)


def test_a_memory_of_another_kind_keeps_all_variants(both_ways, monkeypatch):
    def undivided(self, memory, places):
        return of_variants({"a dictionary": memory}, places)

    monkeypatch.setattr(OfGradients, "narrowed", undivided)
    with pytest.raises(UndividedError, match="dict"):
        OfGradients(None).narrowed(None, None)
    words = [*SMALL, "method=adam", "steps=25", "seeds=2", "method.lr=[0.1,1e9]"]
    run, left_out = composed(*words), []
    monkeypatch.setattr(Runs, "keep", lambda *of: left_out.append(of))
    table = table_alone(linear_representation, run)
    assert (table[table.lr == 1e9].status == "diverged").any()
    assert not left_out
