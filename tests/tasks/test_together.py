"""Methods on one problem, trained in step: what they train on is drawn once, and nothing else changes."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from helpers import quick_plan, run, small_settings
from layerwise.data import single_index, teacher
from layerwise.data.moments import GaussianDraws
from layerwise.methods.base import OfGradients
from layerwise.planning.jobs import Cell, Job
from layerwise.results.tables import read_table
from layerwise.settings.alike import drawn_alike, training_problem
from layerwise.tasks.run import run_job, run_table
from layerwise.tasks.together import Training, together


class Numbers:
    """A stream of 1, 2, 3, …, that counts."""

    def __init__(self) -> None:
        self.drawn = 0

    def next(self) -> int:
        self.drawn += 1
        return self.drawn


def summed(steps: int) -> Iterator[None]:
    """The sum of all batches of some steps."""
    total = 0
    for _ in range(steps):
        total += sum((yield))
    return total


def test_a_stream_is_drawn_once_and_as_long_as_somebody_uses_it() -> None:
    first, second = Numbers(), Numbers()
    trainings = [
        Training(summed(3), [first]),
        Training(summed(5), [first]),
        Training(summed(2), [first, second]),
    ]
    found = together(trainings)
    assert [result for result, _ in found] == [6, 15, 6]
    assert (first.drawn, second.drawn) == (5, 2)
    assert all(seconds.wall >= 0 and seconds.cpu >= 0 for _, seconds in found)


def job_of(cells: list[Cell]) -> list:
    return json.loads(Job(tuple(cells)).content)


METHODS = ["sgd", "kfac", "dfw", "bn_hidden_adam", "muon", "soap", "gauss_newton"]


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """Every method of METHODS on two problems."""
    words = ["task.kappa_x=[1,10]", *(f"+method={name}" for name in ("muon", "soap"))]
    found = quick_plan("head_to_head", *words).cells
    chosen = [cell for cell in found if cell.settings.method.name in METHODS]
    assert {cell.settings.method.name for cell in chosen} == set(METHODS)
    return chosen


def test_each_method_is_to_the_last_bit_what_it_is_alone(cells: list[Cell], tmp_path: Path) -> None:
    run_job(job_of(cells), None, tmp_path / "all.parquet")
    check_bits(alone(cells), tmp_path / "all.parquet")


def alone(cells: list[Cell]) -> dict[tuple[str, str], pd.DataFrame]:
    """The table of each cell run by itself, by its problem and method."""
    return {(cell.problem, cell.settings.method.name): run_table(cell.settings) for cell in cells}


def check_bits(expected: dict[tuple[str, str], pd.DataFrame], file: Path) -> None:
    tables = read_table(file)
    for (problem, method), table in expected.items():
        found = tables[(tables.problem == problem) & (tables.method == method)]
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True)[list(table)], table, check_exact=True, check_dtype=False
        )


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many single-index samples have been drawn."""
    drawn: Counter[str] = Counter()
    sample = single_index.next_sample

    def counted(task, instance, n, *streams):
        drawn["samples"] += 1
        return sample(task, instance, n, *streams)

    monkeypatch.setattr(single_index, "next_sample", counted)
    return drawn


def test_single_index_methods_share_their_samples_and_keep_every_bit(
    tmp_path: Path, samples: Counter[str]
) -> None:
    """In each stage every seed's batches and fresh samples are drawn once, whatever the number of methods,
    and by the block of seeds; no batch after the last step, whose loss nothing asks for."""
    cells = list(quick_plan("single_index_learning").cells)
    expected = alone(cells)
    samples.clear()
    run_job(job_of(cells), None, tmp_path / "all.parquet")
    first = cells[0].settings
    seeds = len(first.seeds) + len(first.tune_seeds)
    problems, methods = (len({key[place] for key in expected}) for place in (0, 1))
    assert methods >= 6 and len(expected) == problems * methods
    assert "train_loss" not in first.task.metrics
    fresh = 3
    assert samples["samples"] == problems * seeds * (first.steps + fresh)
    check_bits(expected, tmp_path / "all.parquet")


def test_what_is_learnt_from_the_labels_takes_no_more_samples_than_steps(
    tmp_path: Path, samples: Counter[str]
) -> None:
    cells = list(quick_plan("one_step_alignment").cells)[:2]
    assert len({cell.problem for cell in cells}) == 1
    run_job(job_of(cells), None, tmp_path / "all.parquet")
    first = cells[0].settings
    assert samples["samples"] == len(first.seeds) * first.steps


def test_students_share_their_samples_and_keep_every_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each stage: a batch a step and the loop's last, and the validation's sample; in the report
    the test's and those of two transfers as well."""
    cells = [cell for cell in quick_plan("mlp_condition").cells if cell.settings.task.kappa_x == 1]
    expected = alone(cells)
    drawn: Counter[str] = Counter()
    sample = teacher.SampleStream.next

    def counted(self, n, new=False, isotropic=False):
        drawn["samples"] += 1
        return sample(self, n, new, isotropic)

    monkeypatch.setattr(teacher.SampleStream, "next", counted)
    run_job(job_of(cells), None, tmp_path / "all.parquet")
    first = cells[0].settings
    assert len(expected) == len(cells) >= 6
    assert {"test_error", "transfer_error", "transfer_error_isotropic"} <= {*first.task.metrics}
    tuning = len(first.tune_seeds) * (first.steps + 1 + 1)
    reporting = len(first.seeds) * (first.steps + 1 + 4)
    assert drawn["samples"] == tuning + reporting
    check_bits(expected, tmp_path / "all.parquet")


def test_one_that_diverges_or_raises_leaves_the_others(cells: list[Cell], tmp_path: Path) -> None:
    own = [cell for cell in cells if cell.problem == cells[0].problem]
    run_job(job_of(own), None, tmp_path / "calm.parquet")
    content = job_of(own)
    for entry in content:
        if entry["settings"]["method"]["name"] == "sgd":
            entry["settings"]["method"]["lr"] = [1e9]
    run_job(content, None, tmp_path / "wild.parquet")
    calm, wild = (read_table(tmp_path / f"{name}.parquet") for name in ("calm", "wild"))
    assert set(wild[wild.method == "sgd"].status) == {"ok", "diverged"}
    rest = [table[table.method != "sgd"].reset_index(drop=True) for table in (calm, wild)]
    pd.testing.assert_frame_equal(*rest, check_exact=True)


def counted_draws(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many draws are made from now on, by their purpose."""
    drawn: Counter[str] = Counter()
    start, draw = GaussianDraws.__init__, GaussianDraws._next

    def started(self, *given):
        self.purpose = given[-1]
        start(self, *given)

    def counted(self):
        drawn[self.purpose] += 1
        return draw(self)

    monkeypatch.setattr(GaussianDraws, "__init__", started)
    monkeypatch.setattr(GaussianDraws, "_next", counted)
    return drawn


# Overrides, and how many stages a job has: of Gauss-Newton's dampings some are tried in a second pass,
# and the others wait for it.
ALIKE = {
    "condition_study": (("task.kappa_x=10", "task.kappa_f=[1,3]"), 3),
    "initial_scale": (("task.kappa_x=10", "task.head_scale=[0.5,2.0]"), 2),
    "rate_and_floor": ((), 2),
}


@pytest.mark.parametrize("experiment", ALIKE)
def test_problems_that_are_drawn_alike_are_drawn_once_and_keep_every_bit(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many draws as the longest run of any of them has steps, in each stage and where one is fixed."""
    overrides, stages = ALIKE[experiment]
    cells = list(quick_plan(experiment, *overrides).cells)
    assert len({cell.problem for cell in cells}) == 2
    assert len({drawn_alike(cell.settings) for cell in cells}) == 1
    expected = alone(cells)
    drawn = counted_draws(monkeypatch)
    run_job(job_of(cells), None, tmp_path / "all.parquet")
    assert drawn["batches"] <= stages * (max(cell.settings.steps for cell in cells) + 1)
    check_bits(expected, tmp_path / "all.parquet")


def test_a_problems_moments_are_drawn_once_for_all_methods(
    cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each stage as many draws as the longest method has steps; the second batch of a step is for DFW
    alone. The transfer task's sample is drawn once, where it is measured on."""
    drawn = counted_draws(monkeypatch)
    run_job(job_of(cells), None, tmp_path / "all.parquet")
    problems, stages, steps = 2, 2, cells[0].settings.steps + 1
    assert drawn == {
        "batches": problems * stages * steps,
        "batches for the head": problems * stages * steps,
        "transfer sample": problems,
    }


def test_what_is_measured_and_by_which_method_is_no_part_of_the_problem() -> None:
    """And what changes a draw is."""
    base = training_problem(small_settings("sgd"))
    same = [("kfac",), ("sgd", "task.n_transfer=60"), ("sgd", "task.metrics=[train_loss]")]
    assert {training_problem(small_settings(*words)) for words in same} == {base}
    others = ["task.noise=0.2", "task.batch_size=65", "seeds=4", "dtype=float32", "engine=batches"]
    found = {training_problem(small_settings("sgd", word)) for word in others}
    assert len(found | {base}) == len(others) + 1


def test_runs_keep_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in a run is in inference mode, where PyTorch keeps no account of derivatives."""
    modes = []
    step = OfGradients.step

    def watched(self, views, memory):
        modes.append(torch.is_inference_mode_enabled())
        return step(self, views, memory)

    monkeypatch.setattr(OfGradients, "step", watched)
    inside = run_table(small_settings("adam"))
    assert modes and all(modes)
    assert not torch.is_inference_mode_enabled()
    outside = run("adam")
    pd.testing.assert_frame_equal(inside[list(outside)], outside, check_exact=True)
