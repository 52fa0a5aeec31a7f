"""Runs, from validated settings to a table and its record."""

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from layerwise.files import environment, write_json
from layerwise.records import write_table
from layerwise.settings import RunSettings, run_settings
from layerwise.validation import ConfigError

# Seconds between progress lines of a long run.
PROGRESS_SECONDS = 10.0


def run_cell(settings: RunSettings, instances: Path | None, out: Path) -> None:
    """Run ``settings`` and write its table to ``out`` and its record to ``out`` + .json.

    The task's own module in layerwise.tasks does the work. ``instances`` is a file that holds those of
    the same problem and seeds, for tasks that have one; None draws them here.
    """
    table, record = _compute(settings, instances)
    _write(table, record, out)


def run_job(job: list[dict[str, Any]], instances: Path | None, out: Path) -> None:
    """Run methods on their problems, a :class:`layerwise.plan.Job`'s content, as one table.

    The table also has each problem's name and the keys that the experiment varies.
    """
    tables, records = [], []
    for method in job:
        for cell in method["problems"]:
            settings = run_settings(method["settings"] | {"task": cell["task"]})
            table, record = _compute(settings, instances)
            tables.append(table.assign(problem=cell["problem"], **cell["varied"]))
            records.append({"problem": cell["problem"], **record})
            said = f"{settings.method.name}, {cell['problem']}: {record['wall_seconds']} s"
            print(said, file=sys.stderr)
    _write(pd.concat(tables, ignore_index=True), {"cells": records}, out)


def _compute(settings: RunSettings, instances: Path | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of a run, and what was run in which time."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda' is not allowed here: torch finds no CUDA device")
    # One thread unless told otherwise: the jobs of a pipeline run side by side.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    start = time.perf_counter()
    task = importlib.import_module(f"layerwise.tasks.{settings.task.name}")
    table = task.run(settings, instances, _progress(settings))
    return table, {
        "configuration": settings.model_dump(),
        "seeds": settings.seeds,
        "wall_seconds": round(time.perf_counter() - start, 3),
    }


def _write(table: pd.DataFrame, record: dict[str, Any], out: Path) -> None:
    write_table(table, out)
    content = record | {"threads": torch.get_num_threads(), **environment()}
    write_json(content, out.with_name(out.name + ".json"))


def _progress(settings: RunSettings) -> Callable[[int], None]:
    """Print the step reached, at most once in PROGRESS_SECONDS, to the error stream."""
    last = time.monotonic()

    def report(step: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            print(f"{settings.method.name}: step {step} of {settings.steps}", file=sys.stderr)

    return report
