"""Overrides run: what is planned has them in it, and the drawn numbers are of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from layerwise.planning.compose import options
from layerwise.planning.pipeline import Pipeline, Placed
from layerwise.planning.request import Request
from layerwise.settings.run import RunSettings

LINEAR, SINGLE_INDEX = ("contraction", "head_to_head"), ("spike", "single_index_learning")
BOTH = (*LINEAR, *SINGLE_INDEX)


def nested(settings: RunSettings, key: str) -> Any:
    """A setting by its dotted key."""
    value: Any = settings.model_dump()
    for name in key.split("."):
        value = value[name]
    return value


# Each kind of override: the words, the key that has its value in the settings of the runs of a method
# (None: of all), and the experiments that it is tried on.
KINDS: dict[str, tuple[str, str, Any, str | None, tuple[str, ...]]] = {
    "seeds": ("seeds=5", "seeds", [0, 1, 2, 3, 4], None, BOTH),
    "steps": ("steps=7", "steps", 7, None, (*LINEAR, SINGLE_INDEX[1])),
    "engine": ("engine=batches", "engine", "batches", None, LINEAR),
    "device": ("device=cuda", "device", "cuda", None, BOTH),
    "a method's step sizes": ("method.sgd.lr=[0.07]", "method.lr", [0.07], "sgd", BOTH),
    "a method's damping": ("method.kfac.damping=[0.3]", "method.damping", [0.3], "kfac", BOTH),
    "a method's option": ("method.kfac.options.lr_head=0.1", "method.options.lr_head", 0.1, "kfac", LINEAR),
    "a linear task's key": ("task.noise=0.7", "task.noise", 0.7, None, BOTH),
    "an axis": ("task.kappa_x=[11]", "task.kappa_x", 11, None, (*LINEAR, SINGLE_INDEX[1])),
}  # fmt: skip
DTYPES = {"contraction": "float32", "head_to_head": "float64", "spike": "float32",
          "single_index_learning": "float64"}  # fmt: skip
CASES = [
    (kind, *case[:4], experiment) for kind, case in KINDS.items() for experiment in case[4]
] + [("dtype", f"dtype={dtype}", "dtype", dtype, None, name) for name, dtype in DTYPES.items()]


def cells(
    pipeline: Pipeline, experiment: str, method: str | None
) -> Iterator[tuple[Placed, RunSettings]]:
    """The cells of a method, or all, of an experiment, each with its job."""
    for placed in pipeline.jobs[experiment]:
        for cell in placed.job.cells:
            if method in (None, cell.settings.method.name):
                yield placed, cell.settings


@pytest.mark.parametrize("scale", options("scale"))
@pytest.mark.parametrize(
    ("kind", "word", "key", "value", "method", "experiment"), CASES,
    ids=[f"{case[0]}, {case[-1]}" for case in CASES],
)  # fmt: skip
def test_what_is_planned_has_the_override_in_it(scale, kind, word, key, value, method, experiment):
    """In every cell that it concerns, and each of these is run in the folder of the overrides, but for jobs
    that had it already."""
    request = Request((experiment,), scale, (word,))
    standing = {one.job.digest for one in Pipeline(Request((experiment,), scale)).jobs[experiment]}
    changed = list(cells(Pipeline(request), experiment, method))
    assert any(placed.job.digest not in standing for placed, _ in changed)
    for placed, settings in changed:
        assert nested(settings, key) == value
        own = placed.folder == f"results{request.label}/{experiment}"
        assert own == (placed.job.digest not in standing)


@pytest.mark.parametrize("scale", options("scale"))
@pytest.mark.parametrize("experiment", LINEAR)
def test_an_added_method_runs_and_the_others_stand(scale, experiment):
    """In a job of its own."""
    pipeline = Pipeline(Request((experiment,), scale, ("+method=soap",)))
    folders = {placed.name: placed.folder for placed in pipeline.jobs[experiment]}
    methods = {settings.method.name for _, settings in cells(pipeline, experiment, None)}
    assert "soap" in methods
    own = {name.split("-")[0] for name, folder in folders.items() if pipeline.label in folder}
    assert own == {"soap"}


@pytest.mark.parametrize("scale", options("scale"))
@pytest.mark.parametrize("word", ["seeds=5", "steps=7", "device=cuda"])
def test_all_experiments_run_an_override_that_concerns_all(scale, word):
    """No cell of any experiment has its old value, and none is that of the experiments as they stand."""
    key, text = word.split("=")
    expected = {"seeds": [0, 1, 2, 3, 4]}.get(key, {"steps": 7}.get(key, text))
    pipeline = Pipeline(Request((), scale, (word,)))
    assert list(pipeline.plans) == options("experiment")
    for experiment in pipeline.plans:
        for placed, settings in cells(pipeline, experiment, None):
            assert nested(settings, key) == expected
            assert placed.folder == f"results{pipeline.label}/{experiment}"


@pytest.mark.parametrize("scale", options("scale"))
def test_a_job_that_an_override_leaves_alone_is_that_of_the_experiment_as_it_stands(scale):
    """Its table is named where it lies without overrides, and nothing of it is planned anew."""
    standing = Pipeline(Request((), scale))
    changed = Pipeline(Request((), scale, ("method.kfac.damping=[0.123]",)))
    for experiment, jobs in changed.jobs.items():
        before = {placed.name: placed for placed in standing.jobs[experiment]}
        for placed in jobs:
            has_kfac = any(cell.settings.method.name == "kfac" for cell in placed.job.cells)
            assert (placed.table == before[placed.name].table) == (not has_kfac)
            assert (placed.job.digest == before[placed.name].job.digest) == (not has_kfac)


def test_a_selection_alone_is_no_reason_to_run():
    """Every table is taken from the experiment as it stands, and reduced in a folder of its own."""
    pipeline = Pipeline(Request(("contraction",), "paper", ("experiment.target=0.3",)))
    assert {placed.folder for placed in pipeline.jobs["contraction"]} == {"results/contraction"}
    assert pipeline.plan_file("contraction") == f"results{pipeline.label}/contraction/plan.json"
    assert pipeline.plans["contraction"].reduction["target"] == 0.3


def test_parts_that_the_jobs_with_overrides_share_with_others_are_drawn_once():
    pipeline = Pipeline(Request(("contraction",), "paper", ("+method=adam",), 18))
    others, adam = pipeline.jobs["contraction"]
    assert others.folder == "results/contraction" and adam.folder != others.folder
    assert adam.instances == others.instances


def test_each_job_reads_its_own_part(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods on problems that are drawn alike share a part; files say what their digests say."""
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline(Request(("contraction",), "paper", (), 4))
    parts: dict[str, list[str]] = {}
    for placed in pipeline.jobs["contraction"]:
        assert placed.instances is not None and placed.instances.problems == placed.job.instances
        parts.setdefault(placed.instances.drawn, []).append(placed.name)
    assert parts == {
        f"results/contraction/instances/{place}.npz": [f"all-{place}"] for place in range(3)
    }
