"""What the rules ask of a cluster: memory in MB and time in minutes. No torch.

The constants are rounded up from measured jobs. A job that fails asks for its first request times the
number of the attempt, so they need to be right for most jobs, not for the worst.
"""

import json
import math
from collections.abc import Iterable

from layerwise.planning.jobs import Job
from layerwise.planning.pipeline import Instances
from layerwise.settings.run import RunSettings

START_MB = 1000  # Python with torch takes 350, and each of the two Snakemakes around it 180
ROW_BYTES = 600  # a row of a run's table while it is written; measured: 530
MATRICES = 20  # d x d matrices of float64 for each seed; measured: 12 to 16
REDUCED_BYTES = 1600  # a row of a run's table while it is reduced; measured: 1200
# Minutes of a step of one run at d = 100; measured: 0.1 ms for most methods, 10 ms for the slowest.
RUN_STEP_MINUTES = 1e-3 / 60


def simulate_mb(job: Job) -> int:
    """Memory of a job: the tables of all its cells, which it writes as one, and its largest cell."""
    matrices = MATRICES * max(_matrix_bytes(cell.settings) for cell in job.cells)
    return START_MB + round((_rows(job) * ROW_BYTES + matrices) / 1e6)


def simulate_minutes(job: Job) -> int:
    """Time limit of a job."""
    steps = sum(
        _runs(cell.settings) * cell.settings.steps * (_dimension(cell.settings) / 100) ** 2
        for cell in job.cells
    )
    return 60 + round(steps * RUN_STEP_MINUTES)


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
    return sum(_runs(cell.settings) * _records(cell.settings) for cell in job.cells)


def _runs(settings: RunSettings) -> int:
    """Seeds times step sizes times damping values."""
    method = settings.method
    return len(settings.seeds) * max(len(method.lr), 1) * max(len(method.damping), 1)


def _records(settings: RunSettings) -> int:
    """Recorded steps, at most; "log" records steps 5 % apart."""
    if settings.record_every == "log":
        return 2 + int(math.log(max(settings.steps, 1)) / math.log(1.05))
    return 2 + settings.steps // int(settings.record_every)


def _matrix_bytes(settings: RunSettings) -> int:
    """A d x d matrix of float64 for each seed."""
    return len(settings.seeds) * _dimension(settings) ** 2 * 8


def _dimension(settings: RunSettings) -> int:
    """Of the inputs."""
    task = settings.task.model_dump()
    return int(task["d_x"] if "d_x" in task else task["d"])
