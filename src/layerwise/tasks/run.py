"""Runs, from validated settings to a table and its record."""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from layerwise.results.files import digest_of, environment, file_digest, write_record
from layerwise.results.tables import write_table
from layerwise.settings.run import RunSettings, run_settings
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import ConfigError
from layerwise.tasks.tuning import in_stages

# Seconds between progress lines of a long run.
PROGRESS_SECONDS = 10.0


def run_cell(settings: RunSettings, instances: Path | None, out: Path) -> pd.DataFrame:
    """Run ``settings``; write the table, which is returned, to ``out`` and its record to ``out`` + .json.

    The task's own module in layerwise.tasks does the work. ``instances`` is a file that holds those of
    the same problem and seeds, for tasks that have one; None draws them here.
    """
    ((table, record),) = _compute([settings], instances)
    _write(table, record, out)
    return table


def run_table(settings: RunSettings) -> pd.DataFrame:
    """The table of ``settings`` alone. The process's number of threads is as before, after it."""
    before = torch.get_num_threads()
    try:
        ((table, _),) = _compute([settings], None)
    finally:
        torch.set_num_threads(before)
    return table


def run_job(job: list[dict[str, Any]], instances: Path | None, out: Path) -> None:
    """Run methods on their problems, a :class:`layerwise.planning.plan.Job`'s content, as one table.

    The table also has each problem's name and the keys that the experiment varies.
    """
    tables, records = [], []
    for method in job:
        for problems in _trained_alike(method["problems"]):
            cells = [run_settings(method["settings"] | {"task": own["task"]}) for own in problems]
            for own, (table, record) in zip(problems, _compute(cells, instances), strict=True):
                # Of what the experiment varies, the table has the task's keys; the others are for readers.
                varied = {key: value for key, value in own["varied"].items() if key not in table}
                tables.append(table.assign(problem=own["problem"], **varied))
                records.append({"problem": own["problem"], **record})
                said = f"{cells[0].method.name}, {own['problem']}: {record['wall_seconds']} s"
                print(said, file=sys.stderr)
    made = {"job": digest_of(job), "cells": records}
    _write(pd.concat(tables, ignore_index=True), made, out)


def _trained_alike(problems: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """A method's problems, those together that differ in what is measured alone."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for problem in problems:
        measured_only = TASKS[problem["task"]["name"]].measured_only
        trained = {key: value for key, value in problem["task"].items() if key not in measured_only}
        groups.setdefault(json.dumps(trained, sort_keys=True), []).append(problem)
    return list(groups.values())


def _compute(
    cells: Sequence[RunSettings], instances: Path | None
) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """The table of each cell, and what was run in which time. Cells that are trained together share
    its time."""
    settings = cells[0]
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda' is not allowed here: torch finds no CUDA device")
    # One thread unless told otherwise: the jobs of a pipeline run side by side.
    torch.set_num_threads(_threads())
    start, worked = time.perf_counter(), time.process_time()
    task = importlib.import_module(f"layerwise.tasks.{settings.task.name}")
    report = _progress(settings)
    tables = in_stages(cells, lambda stage: task.run(stage, instances, report))
    took = {
        "wall_seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - worked,
    }
    shares = {key: round(seconds / len(cells), 3) for key, seconds in took.items()}
    return [
        (table, {"configuration": own.model_dump(), "seeds": own.seeds, **shares})
        for own, table in zip(cells, tables, strict=True)
    ]


def _threads() -> int:
    """The first number of OMP_NUM_THREADS, which may be a list, one for each level; else one."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else 1


def _write(table: pd.DataFrame, record: dict[str, Any], out: Path) -> None:
    write_table(table, out)
    made = {"table": file_digest(out), "threads": torch.get_num_threads(), **environment()}
    write_record(record | made, out.with_name(out.name + ".json"))


def _progress(settings: RunSettings) -> Callable[[int], None]:
    """Print the step reached, at most once in PROGRESS_SECONDS, to the error stream."""
    last = time.monotonic()

    def report(step: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            print(f"{settings.method.name}: step {step} of {settings.steps}", file=sys.stderr)

    return report
