"""A copy of the project that tests may run, edit and break."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

import pandas as pd

from layerwise.results.tables import read_table

ROOT = Path(__file__).parents[1]
READ = {".parquet": read_table, ".csv": pd.read_csv}
TINY = ("seeds=2", "steps=20", "task.d_x=8", "task.d_y=5", "task.rank=2", "task.batch_size=32")
OVERRIDES = """
scale: quick
experiments: [contraction]
overrides: ["seeds=2", "steps=20", "task.d_x=8", "task.d_y=5", "task.rank=2", "task.batch_size=32"]
"""
# For tests that compare tables alone: the page takes as long as all that it shows.
NO_PAGE = ("--omit-from", "page")
# What the session's checkout at the quick scale has of it, one of each half of the project.
QUICK_EXPERIMENTS = ("contraction", "spike")


class LoadedSnakemake:
    """A process that has Snakemake's libraries and forks for each call: loading them is half of what a
    dry run takes. `layerwise reproduce`, and the tests of its start, start their own."""

    def __init__(self) -> None:
        self._calls, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("loaded_snakemake.py")
        with theirs:
            subprocess.Popen([sys.executable, str(script)], stdin=theirs, stdout=subprocess.DEVNULL)

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        call = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            socket.send_fds(self._calls, [json.dumps(call).encode()], [out.fileno(), err.fileno()])
            status = int(self._calls.recv(16))
            for stream in (out, err):
                stream.seek(0)
            return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


@cache
def loaded_snakemake() -> LoadedSnakemake:
    """The one of this process, which ends with it."""
    return LoadedSnakemake()


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
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
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
        environment = os.environ | {
            "PYTHONPATH": str(self.folder / "src"),
            "PWD": str(cwd),  # as a shell says it, links and all
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        if sys.platform == "linux":
            return loaded_snakemake().run(arguments, cwd, environment)
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)

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


def start(checkout: Checkout, *words: str) -> subprocess.Popen[str]:
    """The command, from a folder that is not the project's, as the leader of a process group."""
    environment = os.environ | {"PYTHONPATH": str(checkout.folder / "src")}
    return subprocess.Popen(
        [sys.executable, "-m", "layerwise.cli", *words],
        cwd=checkout.folder.parent, env=environment, text=True, process_group=0,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def layerwise(checkout: Checkout, *words: str, code: int = 0) -> str:
    """What the command says when it has ended as expected."""
    process = start(checkout, *words)
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
