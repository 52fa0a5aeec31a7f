"""The memory that a run takes, estimated from its settings, and the largest that is allowed. No torch.

The constants are rounded up from measured jobs.
"""

import math
from typing import TYPE_CHECKING

from layerwise.settings.search import most_tried

if TYPE_CHECKING:
    from layerwise.settings.run import RunSettings

ROW_BYTES = 600  # a row of a run's table while it is written; measured: 530
REDUCED_BYTES = 1600  # a row of a run's table while it is reduced; measured: 1200
MATRICES = 20  # d x d matrices of float64 for each seed; measured: 12 to 16
HELD_MATRICES = 4  # the same, of a method that waits for its next batch
HIDDEN = 11  # arrays of the hidden layers' values on a step's raw samples; measured: 8 to 10
# Of a method on a problem, with all its seeds; one seed in the largest dimension takes 64.
MAX_CELL_GB = 80


def variants(settings: "RunSettings") -> int:
    """Step sizes times damping values."""
    return max(len(settings.method.lr), 1) * max(len(settings.method.damping), 1)


def runs(settings: "RunSettings") -> int:
    """Seeds times step sizes times damping values; where other seeds tune, theirs with all choices that
    are tried at most, and those of what is reported."""
    method = settings.method
    if settings.tune_seeds is None:
        return len(settings.seeds) * variants(settings)
    tried = most_tried(method.lr, method.fixed_lr, method.damping)
    return len(settings.tune_seeds) * tried + len(settings.seeds) * (1 + len(method.fixed_lr))


def records(settings: "RunSettings") -> int:
    """Recorded steps, at most; "log" records steps 5 % apart."""
    if settings.record_every == "log":
        return 2 + int(math.log(max(settings.steps, 1)) / math.log(1.05))
    return 2 + settings.steps // int(settings.record_every)


def rows(settings: "RunSettings") -> int:
    """Of a run's table."""
    return runs(settings) * records(settings)


def matrix_bytes(settings: "RunSettings") -> int:
    """A d x d matrix of float64 for each seed that is worked on at once."""
    return max(len(settings.seeds), len(settings.tune_seeds or [])) * settings.task.dimension**2 * 8


def held_bytes(settings: "RunSettings") -> int:
    """What a method that trains in step with others holds between two steps."""
    return HELD_MATRICES * matrix_bytes(settings)


def samples_bytes(settings: "RunSettings") -> int:
    """What a step on raw samples holds of a seed, with all choices; many samples have seeds in turn."""
    method, itemsize = settings.method, 4 if settings.dtype == "float32" else 8
    tuned = settings.tune_seeds is not None
    at_once = most_tried(method.lr, (), method.damping) if tuned else variants(settings)
    samples, units = settings.task.raw_samples
    return HIDDEN * itemsize * at_once * samples * units


def check_memory(settings: "RunSettings") -> None:
    """Raise ValueError, with the largest number of seeds that fits, where a method on a problem takes too
    much to be trained or reduced."""
    seeds, task = len(settings.seeds), settings.task
    if (step := samples_bytes(settings) / 1e9) > MAX_CELL_GB:
        key, samples = task.samples_key, task.raw_samples[0]
        raise ValueError(
            f"task.{key} = {getattr(task, key):g} is not allowed: a step of a method on {samples} samples "
            f"would take about {step:.0f} GB of memory, and {MAX_CELL_GB} GB are allowed, with "
            f"{variants(settings)} step sizes and dampings, fewer samples are needed"
        )
    trained = MATRICES * matrix_bytes(settings) + ROW_BYTES * rows(settings)
    needed = max(trained, REDUCED_BYTES * rows(settings)) / 1e9
    if needed <= MAX_CELL_GB:
        return
    largest = int(seeds * MAX_CELL_GB / needed)
    allowed = (
        f"at most {largest} seeds" if largest else "a larger record_every, or fewer step sizes,"
    )
    raise ValueError(
        f"seeds = {seeds} is not allowed: a method on a problem would take about {needed:.0f} GB of "
        f"memory, and {MAX_CELL_GB} GB are allowed, which is {allowed} in dimension "
        f"{settings.task.dimension} with {variants(settings)} step sizes and dampings and "
        f"{records(settings)} recorded steps"
    )
