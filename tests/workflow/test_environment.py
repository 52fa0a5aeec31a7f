"""What the pipeline needs of a machine: no network, no home, no compiler, and any number of threads."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from checkout import TINY, Checkout
from layerwise.results.tables import read_table

pytestmark = pytest.mark.processes

# Loaded by every Python of the run: whoever asks for another machine is answered with an error.
NO_NETWORK = """
import socket

def _refused(*arguments, **options):
    open({witness!r}, "a").write(repr(arguments))
    raise OSError("no network")

socket.getaddrinfo = socket.gethostbyname = socket.create_connection = _refused
_connect = socket.socket.connect
socket.socket.connect = (
    lambda self, address: _connect(self, address) if self.family == socket.AF_UNIX else _refused(address)
)
"""
COMPILERS = (
    "cc",
    "c++",
    "c89",
    "c99",
    "gcc",
    "g++",
    "clang",
    "cpp",
    "ld",
    "as",
    "make",
    "cmake",
    "nvcc",
)


def programs(folder: Path) -> Path:
    """A folder with the system's programs, without the compilers."""
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            stem = program.name.removeprefix("x86_64-linux-gnu-").partition("-")[0]
            if stem not in COMPILERS and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return folder


def run(checkout: Checkout, cores: int, **environment: str) -> None:
    """The small pipeline in a changed environment, by the command."""
    words = ["reproduce", "contraction", "--scale", "quick", "--cores", str(cores), *TINY]
    command = [sys.executable, "-m", "layerwise.cli", *words]
    path = [str(Path(sys.executable).parent), environment.pop("PATH", os.environ["PATH"])]
    changed = {"PYTHONPATH": str(checkout.folder / "src"), **environment}
    done = subprocess.run(
        command, cwd=checkout.folder, capture_output=True, text=True,
        env=os.environ | {"PATH": os.pathsep.join(path)} | changed,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_threads_change_results_by_rounding_alone(tmp_path):
    """A run of the default dimensions on one thread and on two."""
    found = []
    for threads in ("1", "2"):
        out = tmp_path / f"{threads}.parquet"
        words = ["method=kfac", "method.lr=[0.1,0.5]", "seeds=3", "steps=20", f"out={out}"]
        subprocess.run(
            [sys.executable, "-m", "layerwise.simulate", *words],
            env=os.environ | {"OMP_NUM_THREADS": threads}, check=True, capture_output=True,
        )  # fmt: skip
        assert json.loads(Path(f"{out}.json").read_text())["threads"] == int(threads)
        found.append(read_table(out))
    pd.testing.assert_frame_equal(*found, rtol=1e-9, atol=1e-12)


def test_results_do_not_depend_on_the_machine_around_them(small_once, tmp_path):
    """On two cores as it stands, and on one core with two threads, another hash seed and time zone, a
    home that cannot be written, no network, no compiler: the same tables, to round-off."""
    bare = Checkout(tmp_path / "bare")
    witness = tmp_path / "asked.txt"
    (bare.folder / "src/sitecustomize.py").write_text(NO_NETWORK.format(witness=str(witness)))
    (tmp_path / "home").write_text("a file, so that nothing can be made in it")
    home = str(tmp_path / "home")
    run(
        bare, 1, OMP_NUM_THREADS="2", MKL_NUM_THREADS="2", PYTHONHASHSEED="7", TZ="Asia/Tokyo",
        HOME=home, XDG_CACHE_HOME=f"{home}/cache", XDG_CONFIG_HOME=f"{home}/config",
        MPLCONFIGDIR=f"{home}/matplotlib", PATH=str(programs(tmp_path / "bin")), CC="false",
    )  # fmt: skip
    assert shutil.which("gcc", path=tmp_path / "bin") is None
    assert not witness.exists()
    expected, found = small_once.tables(), bare.tables()
    assert found.keys() == expected.keys() and len(found) == 8
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, rtol=1e-9, atol=1e-12)
