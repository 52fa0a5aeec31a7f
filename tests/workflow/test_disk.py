"""Disks that are full and folders that cannot be written: one sentence, and the old files as they were."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from checkout import NO_PAGE, Checkout, environment
from helpers import problem
from layerwise.data.instances import draw, save
from layerwise.results.files import FileError, write_json

# The system stops every write beyond this many bytes, as a full disk would.
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
APP = Path(__file__).parents[2] / "src/layerwise/simulate.py"
DRAW = Path(__file__).parents[2] / "scripts/draw_instances.py"
pytestmark = pytest.mark.processes
SMALL = ("task.d_x=8", "task.d_y=5", "task.rank=2", "task.batch_size=32", "seeds=2", "steps=6")


def limited(limit: int, folder: Path, program: Path, *arguments: str):
    code = LIMITED.format(limit=limit)
    command = [sys.executable, "-c", code, str(program), *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_run_on_a_full_disk_keeps_the_old_table(tmp_path):
    """The run reaches its end and cannot write: exit code 1, one sentence, the old file kept."""
    (tmp_path / "run.csv").write_text("old")
    done = limited(1000, tmp_path, APP, *SMALL, "out=run.csv")
    assert done.returncode == 1
    assert done.stderr == "error: run.csv was not written ([Errno 27] File too large)\n"
    assert contents(tmp_path) == {"run.csv": b"old"}


def test_a_record_that_does_not_fit_is_not_written(tmp_path):
    write_json({"old": True}, tmp_path / "record.json")
    before = contents(tmp_path)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "from layerwise.results.files import write_json, Path\n"
        "write_json(list(range(1000)), Path('record.json'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert "FileError: record.json was not written" in done.stderr
    assert contents(tmp_path) == before


def test_instances_on_a_full_disk_keep_the_old_file(tmp_path):
    """The pipeline's job says why and names its log; half an archive is left nowhere."""
    path = tmp_path / "instances.npz"
    save({"a": draw(problem(), [0])}, path)
    before = path.read_bytes()
    problems = problem(d_x=40).instance([0, 1])
    (tmp_path / "problems.json").write_text(f"[{problems}]")
    arguments = (
        "--problems",
        str(tmp_path / "problems.json"),
        "--out",
        str(path),
        "--log",
        "job.log",
    )
    done = limited(20000, tmp_path, DRAW, *arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"error: {path} was not written ([Errno 27] File too large) (log: " in done.stderr
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {
        "instances.npz",
        "job.log",
        "problems.json",
    }


def test_a_file_in_the_place_of_the_folder(tmp_path):
    """A folder that cannot be made, before or after the run: one sentence, nothing changed."""
    (tmp_path / "results").write_text("a file")
    done = limited(10**9, tmp_path, APP, *SMALL, "out=results/run.parquet")
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "results/run.parquet" in done.stderr
    assert contents(tmp_path) == {"results": b"a file"}


def test_a_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / "record.json").mkdir()
    with pytest.raises(FileError, match="record.json was not written"):
        write_json({}, tmp_path / "record.json")
    assert contents(tmp_path) == {"record.json": None}


class Disk:
    """A file system in memory in the place of a checkout's results, of the size that it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=64k", "tmpfs")

    def becomes(self, options: str) -> None:
        self._mount("-o", f"remount,{options}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Checkout, Disk]]:
    """A checkout on a disk of 64 kB; with a parameter, one that has run on a disk with room for it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root mounts a file system, and only Linux has a tmpfs")
    finished = request.getfixturevalue("small_once") if hasattr(request, "param") else None
    checkout = Checkout(tmp_path / "small disk", finished)
    results = checkout.folder / "results"
    if finished is not None:
        results.rename(tmp_path / "results")
    made = Disk(results)
    if finished is not None:
        made.becomes("size=20m")
        shutil.copytree(tmp_path / "results", results, dirs_exist_ok=True)
    yield checkout, made
    subprocess.run(["umount", str(made.folder)], check=True)


def test_results_on_a_full_disk_are_whole_or_absent(disk, small_once: Checkout) -> None:
    """The job says why in one sentence; with more room the same call finishes, with the tables of a
    disk that was never full."""
    checkout, small = disk
    full = checkout.small()
    assert full.returncode == 1
    assert "was not written ([Errno 28] No space left on device)" in full.stdout + full.stderr
    checkout.tables()  # refuses a table that is not whole
    small.becomes("size=20m")
    assert checkout.small(*NO_PAGE).returncode == 0
    found, expected = checkout.tables(), small_once.tables()
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table)


@pytest.mark.parametrize("disk", ["finished"], indirect=True)
def test_read_only_results_can_be_used_and_not_changed(disk) -> None:
    """Nothing is due, so nothing fails; a run that would write says which files it cannot."""
    checkout, small = disk
    before = checkout.tables()
    small.becomes("ro")
    assert checkout.small().returncode == 0
    forced = checkout.small("--forceall")
    said = forced.stdout + forced.stderr
    assert forced.returncode == 1
    assert "Write-protected output files" in said and "Traceback" not in said
    for name, table in checkout.tables().items():
        pd.testing.assert_frame_equal(table, before[name])
