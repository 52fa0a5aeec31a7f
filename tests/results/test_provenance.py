"""A table is reduced only where its record says that it is of the planned run."""

import json
import shutil
from pathlib import Path

import pytest

from helpers import quick_plan
from layerwise.planning.plan import Job
from layerwise.results.files import FileError, read_record, write_record
from layerwise.results.provenance import check_run
from layerwise.tasks.run import run_job


def made(folder: Path, *overrides: str) -> tuple[Path, Path, Job]:
    """A table, the file of its job, and the job."""
    (job,) = quick_plan("contraction", *overrides).jobs().values()
    folder.mkdir()
    (folder / "job.json").write_text(job.text)
    run_job(json.loads(job.text), None, folder / "run.parquet")
    return folder / "run.parquet", folder / "job.json", job


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Job]:
    return made(tmp_path_factory.mktemp("planned") / "run")


def test_the_table_of_a_job_is_accepted(planned):
    table, file, job = planned
    assert json.loads(file.read_text()) == json.loads(job.content)
    check_run(table, file, job.digest)


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("dtype=float32", "(dtype = 'float32', planned is 'float64')"),
        ("method.kfac.lr=[0.5]", "(method.lr = [0.5], planned is "),
        ("method.kfac.damping=[0.5]", "(method.damping = [0.5], planned is [0.0])"),
        ("task.noise=0.5", ""),  # another problem
        ("experiment.methods=[sgd]", ""),
    ],
)
def test_a_table_of_other_settings_is_refused(planned, tmp_path, override, difference):
    """With what differs, and what to do."""
    _, file, job = planned
    table, _, _ = made(tmp_path / "other", override)
    with pytest.raises(FileError) as refused:
        check_run(table, file, job.digest)
    said = str(refused.value)
    assert f"{table} is of other settings than planned {difference}".rstrip() in said
    assert f"remove it with `rm {table}` and run the same command again" in said


def test_a_table_that_is_not_its_records_is_refused(planned, tmp_path):
    table, file, job = planned
    other, _, _ = made(tmp_path / "other", "dtype=float32")
    shutil.copy(f"{table}.json", f"{other}.json")
    with pytest.raises(FileError, match="is not the table that its record is of"):
        check_run(other, file, job.digest)


def test_a_record_without_its_job_is_refused(planned, tmp_path):
    """As those are that an earlier version wrote."""
    table, file, job = planned
    for path in (table, Path(f"{table}.json")):
        shutil.copy(path, tmp_path)
    record = read_record(Path(f"{table}.json"))
    del record["job"]
    write_record(record, tmp_path / "run.parquet.json")
    with pytest.raises(FileError, match="is of other settings than planned"):
        check_run(tmp_path / "run.parquet", file, job.digest)


def test_a_job_file_of_another_plan_is_refused(planned):
    table, file, _ = planned
    with pytest.raises(FileError, match="job.json is not what was planned"):
        check_run(table, file, "0" * 16)
