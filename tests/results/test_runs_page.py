"""The page of what was run: a call for one experiment leaves the others on it."""

import json
from pathlib import Path

import pytest

from layerwise.results.files import FileError, write_record
from layerwise.results.pages import records_of, runs_page


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("basis", "spike"):
        jobs = [{"table": f"results/{name}/runs/{part}.parquet"} for part in "ab"]
        (tmp_path / f"results/{name}/runs").mkdir(parents=True)
        Path(f"results/{name}/plan.json").write_text(json.dumps({"jobs": jobs}))
        for job in jobs:
            write_record({"of": job["table"]}, Path(f"{job['table']}.json"))
    return Path("results")


def found(folder: Path, *names: str) -> list[str]:
    records = records_of([folder / name / "plan.json" for name in names])
    return [f"{path.parents[1].name} {path.name[0]}" for path in records]


def test_a_call_for_one_keeps_the_others(folder):
    every = ["basis a", "basis b", "spike a", "spike b"]
    assert found(folder, "spike") == found(folder, "basis", "spike") == every


def test_what_another_experiment_lacks_is_no_reason_to_fail(folder):
    """A run of its own that is missing or broken is, where the page is made."""
    Path("results/basis/runs/a.parquet.json").write_text("{")
    Path("results/basis/runs/b.parquet.json").unlink()
    assert found(folder, "spike") == ["spike a", "spike b"]
    assert found(folder, "basis") == ["basis a", "basis b", "spike a", "spike b"]
    with pytest.raises(FileError):
        runs_page(records_of([folder / "basis/plan.json"]))
    Path("results/basis/plan.json").write_text("{")
    assert found(folder, "spike") == ["spike a", "spike b"]
    with pytest.raises(FileError):
        found(folder, "basis")
