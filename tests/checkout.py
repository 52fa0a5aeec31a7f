"""A copy of the project that tests may run, edit and break."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

import pandas as pd

from layerwise.results.tables import read_table

ROOT = Path(__file__).parents[1]
FORKS = Path(__file__).with_name("forks")
READ = {".parquet": read_table, ".csv": pd.read_csv}
TINY = ("seeds=3", "steps=20", "task.d_x=8", "task.d_y=5", "task.rank=2", "task.batch_size=32")
OVERRIDES = """
scale: quick
experiments: [contraction]
overrides: ["seeds=3", "steps=20", "task.d_x=8", "task.d_y=5", "task.rank=2", "task.batch_size=32"]
"""
# For tests that compare tables alone: the page takes as long as all that it shows.
NO_PAGE = ("--omit-from", "page")
# What the session's checkout at the quick scale has of it, one of each half of the project.
QUICK_EXPERIMENTS = ("contraction", "spike")


@cache
def loaded() -> dict[str, str]:
    """Environment variables by which a Python is a fork of a process that has libraries loaded, one for the
    session: loading them is most of what a dry run or a small job takes. For tests of what is run; tests of
    how it starts, and what is sent signals, do without. Empty where processes cannot be forked safely."""
    if sys.platform != "linux":
        return {}
    in_worker = "PYTEST_XDIST_WORKER" in os.environ
    session = os.getppid() if in_worker else os.getpid()
    name = f"layerwise-tests-{session}"
    with socket.socket(socket.AF_UNIX) as listener, suppress(OSError):  # another worker has it
        listener.bind(f"\0{name}")
        listener.listen(64)
        script = Path(__file__).with_name("loaded_python.py")
        words = [sys.executable, str(script), str(listener.fileno()), str(session)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "MPLBACKEND": "agg"}
        subprocess.Popen(words, pass_fds=[listener.fileno()], env=environment, **quiet)
    return {"LOADED_PYTHON": name}


def environment(*folders: Path | str, quickly: bool = True) -> dict[str, str]:
    """That of a program which finds packages in ``folders``; ``quickly``: as a fork of what is loaded."""
    ours = loaded() if quickly else {}
    path = [*folders, *([FORKS] if ours else [])]
    return os.environ | ours | {"PYTHONPATH": os.pathsep.join(map(str, path))}


class Checkout:
    """A copy of the project in a path with a space and a letter beyond ASCII.

    Its quick scale keeps methods apart, so that what reruns can be seen, and contraction has two of them.
    """

    def __init__(self, folder: Path, of: "Checkout | None" = None) -> None:
        """``of``: another checkout that is copied with its results, else the project itself."""
        self.folder = folder / "a çopy"
        if of is not None:
            shutil.copytree(of.folder, self.folder)
            return
        for name in ("config", "profiles", "workflow", "scripts", "src"):
            # What Python compiled is as good in a copy; a file with a further suffix is being written.
            ignore = shutil.ignore_patterns("*.pyc.*", "*.egg-info")
            shutil.copytree(ROOT / name, self.folder / name, ignore=ignore)
        shutil.copy(ROOT / "Snakefile", self.folder)
        (self.folder / "small.yaml").write_text(OVERRIDES)
        self.edit("config/scale/quick.yaml", "jobs_of: experiment", "jobs_of: method")
        two = "methods: [sgd, kfac]"
        self.edit("config/experiment/contraction.yaml", "methods: [sgd, sgd_features, kfac]", two)

    @classmethod
    def standing(cls, folder: Path) -> "Checkout":
        """The checkout that was made in ``folder``."""
        self = cls.__new__(cls)
        self.folder = folder / "a çopy"
        return self

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("--cores", "2", *arguments)

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Snakemake with the copy's own package, from ``cwd``, else from the copy."""
        cwd = cwd or self.folder
        given = environment(self.folder / "src") | {
            "PWD": str(cwd),  # as a shell says it, links and all
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True)

    def small(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.snakemake("--configfile", "small.yaml", *arguments)

    def due(self) -> Counter[str]:
        """The jobs of a dry run: rule name, with the method for simulations."""
        done = self.small("--dry-run")
        assert done.returncode == 0, done.stdout + done.stderr
        text = done.stdout + done.stderr
        simulated = re.findall(r"wildcards: .*\bjob=(\w+)-0$", text, re.MULTILINE)
        rules = Counter(re.findall(r"^(?:local)?rule (\w+):", text, re.MULTILINE))
        rules.update({f"simulate {method}": n for method, n in Counter(simulated).items()})
        rules.pop("simulate", None)
        return rules

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table under its place; hidden files, which a killed write may leave, are no results."""
        return {
            str(path.relative_to(self.folder)): READ[path.suffix](path)
            for folder in ("results", "figures")
            for path in sorted((self.folder / folder).rglob("*"))
            if path.suffix in READ and not path.name.startswith(".")
        }

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def start(checkout: Checkout, *words: str, quickly: bool = False) -> subprocess.Popen[str]:
    """The command, from a folder that is not the project's, as the leader of a process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "layerwise.cli", *words],
        cwd=checkout.folder.parent, env=environment(checkout.folder / "src", quickly=quickly),
        text=True, process_group=0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def layerwise(checkout: Checkout, *words: str, code: int = 0) -> str:
    """What the command says when it has ended as expected."""
    process = start(checkout, *words, quickly=True)
    said, _ = process.communicate()
    assert process.returncode == code, said
    return said


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Return once a file is there; fail if the process ends first, or the time is up."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
