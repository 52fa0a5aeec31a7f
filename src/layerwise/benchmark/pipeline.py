"""The whole pipeline at the quick scale, in a fresh copy of the checkout, and where its time goes."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from layerwise.benchmark.timing import row
from layerwise.planning.places import PROJECT

# What the pipeline needs of a checkout.
PARTS = ("Snakefile", "config", "profiles", "workflow", "scripts", "src")
CORES = (1, 2)


def measure(rounds: int, options: Sequence[str] = ()) -> pd.DataFrame:
    """Wall time of all jobs and of a run that finds nothing to do, for each number of cores, and what of it
    is the runs themselves. ``options`` go to Snakemake."""
    collected: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for cores in CORES:
            for quantity, seconds in _one_run(cores, options).items():
                collected.setdefault((quantity, cores), []).append(seconds)
    rows = [
        row({"cores": cores, "rounds": rounds}, quantity, np.array(values), "s")
        for (quantity, cores), values in collected.items()
    ]
    return pd.DataFrame(rows)


def _one_run(cores: int, options: Sequence[str]) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        checkout = copy_checkout(Path(folder))
        command = ["-m", "snakemake", "--quiet", "all", "--cores", str(cores), "--config",
                   "scale=quick", *options]  # fmt: skip
        return {
            "pipeline": _seconds(command, checkout),
            "nothing to do": _seconds(command, checkout),
            "computing in the simulate jobs": computing_seconds(checkout),
        }


def copy_checkout(folder: Path) -> Path:
    """Copy what the pipeline needs to ``folder``, without results."""
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, folder)
    return folder


def computing_seconds(checkout: Path) -> float:
    """Wall seconds of the runs of the quick scale in ``checkout``, added up from their records."""
    paths = (checkout / "results" / "quick").rglob("runs/*.parquet.json")
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sum(cell["wall_seconds"] for record in records for cell in record["cells"])


def _seconds(arguments: Sequence[str], checkout: Path) -> float:
    """Wall time of a Python command on the copied package, in whose shell rules `python` is ours.
    Raises CalledProcessError where it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(checkout / "src")}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - start
