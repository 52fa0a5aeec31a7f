"""The time that explain says: in proportion to the work, and not to what a small run takes to start."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import small_settings
from layerwise.command.estimate import FIXED_RUNS, START_SECONDS, earlier_runs, estimate
from layerwise.planning.jobs import Cell, Job
from layerwise.planning.plan import plan


def recorded(folder: Path, name: str, seconds: float, **changes: Any) -> None:
    """The record of an earlier run of a method, for so many seconds of a processor."""
    configuration = small_settings(name).model_dump() | changes
    cells = [{"configuration": configuration, "wall_seconds": 9 * seconds, "cpu_seconds": seconds}]
    path = (
        folder
        / "results/quick/some/runs"
        / f"{name}-{len(list(folder.rglob('*.json')))}.parquet.json"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells}))


def said(
    folder: Path, name: str, cores: int = 1, jobs: int = 1, **changes: Any
) -> tuple[float, bool]:
    """Seconds of a job's cell, on so many cores, and whether they are a guess."""
    settings = small_settings(name).model_copy(update=changes)
    job = Job((Cell("p", {}, settings),))
    time = estimate({"simulate": jobs}, [job] * jobs, earlier_runs(folder / "results"), cores, 1)
    none = estimate({"simulate": jobs}, [], earlier_runs(folder / "results"), cores, 1)
    return time.on_cores - none.on_cores, bool(time.guessed)


def test_a_run_takes_what_it_took(tmp_path: Path) -> None:
    """By its processor's time, whatever else the machine did."""
    recorded(tmp_path, "sgd", 8.0)
    seconds, guessed = said(tmp_path, "sgd")
    assert seconds == pytest.approx(8.0 + START_SECONDS["simulate"]) and not guessed


def test_a_tiny_run_does_not_make_a_large_one_seem_long(tmp_path: Path) -> None:
    """Of ten times as many runs in a step, most take no longer."""
    recorded(tmp_path, "sgd", 1.0)
    runs = 3 * len(small_settings("sgd").method.lr)
    seconds, _ = said(tmp_path, "sgd", seeds=list(range(30)))
    expected = (FIXED_RUNS + 10 * runs) / (FIXED_RUNS + runs)
    assert seconds - START_SECONDS["simulate"] == pytest.approx(expected)
    assert expected < 5


def test_one_odd_record_among_several_does_not_count(tmp_path: Path) -> None:
    for seconds in (1.0, 1.1, 50.0):
        recorded(tmp_path, "sgd", seconds)
    assert said(tmp_path, "sgd")[0] == pytest.approx(1.1 + START_SECONDS["simulate"])


def test_a_method_that_did_not_run_is_guessed_by_its_task(tmp_path: Path) -> None:
    recorded(tmp_path, "sgd", 1.0)
    seconds, guessed = said(tmp_path, "adam")
    assert guessed and 0.1 < seconds - START_SECONDS["simulate"] < 10


def test_jobs_share_the_cores_but_one_is_on_one(tmp_path: Path) -> None:
    recorded(tmp_path, "sgd", 10.0)
    one, _ = said(tmp_path, "sgd", cores=4)
    assert one == pytest.approx(10.0 + START_SECONDS["simulate"], abs=2)
    eight, _ = said(tmp_path, "sgd", cores=4, jobs=8)
    assert eight == pytest.approx(2 * one, rel=0.2)


@pytest.mark.parametrize(
    ("experiment", "seconds"),
    [
        ("condition_study", 603),
        ("contraction", 84),
        ("single_index_learning", 156),
        ("mlp_depth", 235),
    ],
)
def test_what_never_ran_is_guessed_within_a_factor_of_two(experiment: str, seconds: float) -> None:
    """Of what the jobs took on two cores of an AMD EPYC: they end when they arrive, train in step on the
    same draws, or are of some depth."""
    time = estimate({}, plan(experiment, "paper").jobs().values(), {}, cores=1, experiments=1)
    assert time.guessed and seconds / 2 < time.of_one_core < 2 * seconds
