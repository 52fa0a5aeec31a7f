"""One cell, from validated settings to its table and its record."""

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from layerwise.records import environment, write_json, write_table
from layerwise.settings import ConfigError, RunSettings

# Seconds between progress lines of a long run.
PROGRESS_SECONDS = 10.0


def run_cell(settings: RunSettings, instances: Path | None, out: Path) -> None:
    """Run ``settings`` and write its table to ``out`` and its record to ``out`` + .json.

    The task's own module in layerwise.tasks does the work. ``instances`` is a file drawn for the same
    problem and seeds, for tasks that have one; None draws them here.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda' is not allowed here: torch finds no CUDA device")
    # One thread unless told otherwise: the cells of a pipeline run side by side.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    start = time.perf_counter()
    task = importlib.import_module(f"layerwise.tasks.{settings.task.name}")
    write_table(task.run(settings, instances, _progress(settings)), out)
    record = {
        "configuration": settings.model_dump(),
        "seeds": settings.seeds,
        "wall_seconds": round(time.perf_counter() - start, 3),
        "threads": torch.get_num_threads(),
        **environment(),
    }
    write_json(record, out.with_name(out.name + ".json"))


def _progress(settings: RunSettings) -> Callable[[int], None]:
    """Print the step reached, at most once in PROGRESS_SECONDS, to the error stream."""
    last = time.monotonic()

    def report(step: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            print(f"{settings.method.name}: step {step} of {settings.steps}", file=sys.stderr)

    return report
