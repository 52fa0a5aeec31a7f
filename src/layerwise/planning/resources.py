"""What the rules ask of a cluster: memory in MB and time in minutes. No torch.

The constants are rounded up from measured jobs. A job that fails asks for its first request times the
number of the attempt, so they need to be right for most jobs, not for the worst.
"""

import json
from collections.abc import Iterable

from layerwise.planning.jobs import Job
from layerwise.planning.pipeline import Instances
from layerwise.settings.alike import drawn_alike
from layerwise.settings.memory import (
    HELD_MATRICES,
    MATRICES,
    REDUCED_BYTES,
    ROW_BYTES,
    held_bytes,
    matrix_bytes,
    rows,
    samples_bytes,
)

START_MB = 1000  # Python with torch takes 350, and each of the two Snakemakes around it 180
# Minutes of a step of one run at d = 100; measured: 0.1 ms for most methods, 10 ms for the slowest.
RUN_STEP_MINUTES = 1e-3 / 60


def simulate_mb(job: Job) -> int:
    """Memory of a job: the tables of all its cells, which it writes as one, its largest cell, and what the
    methods that train in step with it hold between two steps."""
    in_step: dict[str, int] = {}
    for cell in job.cells:
        name = drawn_alike(cell.settings)
        in_step[name] = in_step.get(name, 0) + held_bytes(cell.settings)
    largest = max(matrix_bytes(cell.settings) for cell in job.cells)
    matrices = (MATRICES - HELD_MATRICES) * largest + max(in_step.values())
    samples = max(samples_bytes(cell.settings) for cell in job.cells)
    return START_MB + round((_rows(job) * ROW_BYTES + matrices + samples) / 1e6)


def simulate_minutes(job: Job) -> int:
    """Time limit of a job."""
    return 60 + round(job.run_steps * RUN_STEP_MINUTES)


def instances_mb(part: Instances) -> int:
    """Memory of a part of the instances, held at once: two bases of the inputs for each seed."""
    problems = map(json.loads, part.problems)
    sizes = [8 * len(one["seeds"]) * one["d_x"] ** 2 for one in problems]
    return START_MB + round(3 * sum(sizes) / 1e6)


def reduce_mb(jobs: Iterable[Job]) -> int:
    """Memory of reducing the tables of jobs, one at a time: that of the largest, whatever their number."""
    return START_MB + round(max(map(_rows, jobs)) * REDUCED_BYTES / 1e6)


def _rows(job: Job) -> int:
    """Of a job's table."""
    return sum(rows(cell.settings) for cell in job.cells)
