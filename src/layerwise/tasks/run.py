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
from layerwise.settings.alike import drawn_alike
from layerwise.settings.run import RunSettings, run_settings
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import ConfigError
from layerwise.tasks.sharing import run_groups
from layerwise.tasks.together import Ran, Seconds

# Seconds between progress lines of a long run.
PROGRESS_SECONDS = 10.0


def run_cell(settings: RunSettings, instances: Path | None, out: Path) -> pd.DataFrame:
    """Run ``settings``; write the table, which is returned, to ``out`` and its record to ``out`` + .json.

    The task's own module in layerwise.tasks does the work. ``instances`` is a file that holds those of
    the same problem and seeds, for tasks that have one; None draws them here.
    """
    (((table, record),),) = _compute([[settings]], instances)
    _write(table, record, out)
    return table


def run_table(settings: RunSettings) -> pd.DataFrame:
    """The table of ``settings`` alone. The process's number of threads is as before, after it."""
    before = torch.get_num_threads()
    try:
        (((table, _),),) = _compute([[settings]], None)
    finally:
        torch.set_num_threads(before)
    return table


def run_job(job: list[dict[str, Any]], instances: Path | None, out: Path) -> None:
    """Run methods on their problems, a :class:`layerwise.planning.plan.Job`'s content, as one table.

    Methods on problems that are drawn alike are run together. The table also has each problem's name and
    the keys that the experiment varies.
    """
    done: dict[tuple[int, str], tuple[pd.DataFrame, dict[str, Any]]] = {}
    for entries in _on_the_same_draws(job):
        groups = [[cell for _, _, cell in entry] for entry in entries]
        for entry, results in zip(entries, _compute(groups, instances), strict=True):
            for (place, own, cell), (table, record) in zip(entry, results, strict=True):
                # Of what the experiment varies, the table has the task's keys; the others are for readers.
                varied = {key: value for key, value in own["varied"].items() if key not in table}
                table = table.assign(problem=own["problem"], **varied)
                done[place, own["problem"]] = table, {"problem": own["problem"], **record}
                said = f"{cell.method.name}, {own['problem']}: {record['wall_seconds']} s"
                print(said, file=sys.stderr)
    # In the job's order, whatever ran together.
    ordered = [
        done[place, own["problem"]] for place, entry in enumerate(job) for own in entry["problems"]
    ]
    made = {"job": digest_of(job), "cells": [record for _, record in ordered]}
    _write(pd.concat([table for table, _ in ordered], ignore_index=True), made, out)


# A cell of a job: its method's place in the job, its problem as the job has it, and its settings.
Own = tuple[int, dict[str, Any], RunSettings]


def _on_the_same_draws(job: list[dict[str, Any]]) -> list[list[list[Own]]]:
    """A job's cells, those that are trained at once in a list, and these by what they are trained on."""
    found: dict[str, list[list[Own]]] = {}
    for place, method in enumerate(job):
        for problems in _trained_alike(method["problems"]):
            cells = [run_settings(method["settings"] | {"task": own["task"]}) for own in problems]
            entry = [(place, own, cell) for own, cell in zip(problems, cells, strict=True)]
            found.setdefault(drawn_alike(cells[0]), []).append(entry)
    return list(found.values())


def _trained_alike(problems: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """A method's problems, those together that differ in what is measured alone."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for problem in problems:
        measured_only = TASKS[problem["task"]["name"]].measured_only
        trained = {key: value for key, value in problem["task"].items() if key not in measured_only}
        groups.setdefault(json.dumps(trained, sort_keys=True), []).append(problem)
    return list(groups.values())


def _compute(
    groups: Sequence[Sequence[RunSettings]], instances: Path | None
) -> list[list[tuple[pd.DataFrame, dict[str, Any]]]]:
    """For each group of cells that are trained at once, the table of each cell and what was run in which
    time: their training's, and a share of what they have in common."""
    settings = groups[0][0]
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda' is not allowed here: torch finds no CUDA device")
    # One thread unless told otherwise: the jobs of a pipeline run side by side.
    torch.set_num_threads(_threads())
    start = Seconds.now()
    task = importlib.import_module(f"layerwise.tasks.{settings.task.name}")
    with torch.inference_mode():  # no task differentiates through its runs
        ran = run_groups(task, groups, instances, [_progress(cells[0]) for cells in groups])
    common = Seconds.now().since(start)
    for one in ran:
        common = common.since(one.seconds)
    return [
        [
            (
                table,
                {
                    "configuration": own.model_dump(),
                    "seeds": own.seeds,
                    **_took(one, common, len(ran)),
                },
            )
            for own, table in zip(cells, one.tables, strict=True)
        ]
        for cells, one in zip(groups, ran, strict=True)
    ]


def _took(ran: Ran, common: Seconds, groups: int) -> dict[str, float]:
    """The time of each of a group's cells, with its share of what all groups had in common."""
    shares = {
        "wall_seconds": ran.seconds.wall + common.wall / groups,
        "cpu_seconds": ran.seconds.cpu + common.cpu / groups,
    }
    return {key: round(seconds / len(ran.tables), 3) for key, seconds in shares.items()}


def _threads() -> int:
    """The first number of OMP_NUM_THREADS, which may be a list, one for each level; else one. No more than
    there are CPUs: thousands would take minutes to start."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(int(first), os.cpu_count() or 1) if first.isdecimal() and int(first) > 0 else 1


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
