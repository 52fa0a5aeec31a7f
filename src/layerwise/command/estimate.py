"""How long jobs that are due take, by the records of earlier runs. No torch.

A step of a run's program costs a fixed time, and more for each run in it. So a cell's cost is counted in
steps × (FIXED_RUNS + runs) × (dimension / 100)² × depth, shared by the cells that are trained at once,
and its seconds are those of earlier cells of like cost in proportion to the costs. Without the fixed part
a small run would make a large one seem ten times as long as it is; and where runs end when they arrive,
so would their largest number of steps.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from layerwise.planning.jobs import Job
from layerwise.results.files import canonical
from layerwise.settings.search import most_tried
from layerwise.settings.tasks import TASKS

# Runs that take as long as a step's fixed part; measured: 10 on single-index data, 150 on linear problems.
FIXED_RUNS = 100
# Seconds of a unit of cost without an earlier run of the task with this engine, rounded from measured ones.
SECONDS: dict[tuple[str, ...], float] = {
    ("linear_representation", "moments"): 4e-5,
    ("linear_representation", "batches"): 1e-4,
    ("single_index", "batches"): 4e-4,
    ("teacher_student", "batches"): 1e-3,
    ("digits", "batches"): 1e-4,
}
OTHER_SECONDS = 1e-4
# Steps until a run arrives, beside κ_x κ_F², in the same way.
ARRIVES = 100
# Earlier cells that an estimate is the median of.
NEAREST = 5
# Seconds of processor time of a job beside its cells; measured on one core, where jobs share a process.
START_SECONDS = {
    "instances": 0.1,
    "simulate": 0.3,
    "aggregate": 0.5,
    "collect": 0.2,
    "figure": 1.9,
    "claims": 0.3,
    "runs_page": 0.2,
    "page": 0.35,
}
# Those of them that take this for each experiment.
OF_EACH = ("claims", "page")
SNAKEMAKE_SECONDS = 5  # to plan and to start that process; and for each job:
JOB_SECONDS = 0.15


class Ran(NamedTuple):
    """What an earlier cell cost, and the seconds that it took."""

    cost: float
    seconds: float


# Earlier cells by rule, optimizer, network, task and engine, and by the last two alone.
Earlier = Mapping[tuple[str, ...], Sequence[Ran]]


class Time(NamedTuple):
    """Seconds of one core, seconds on several, and whether some of it is a guess."""

    of_one_core: float
    on_cores: float
    guessed: frozenset[str]  # methods that have not run on their task here


def earlier_runs(results: Path) -> Earlier:
    """All runs that are recorded under a folder."""
    ran: dict[tuple[str, ...], list[Ran]] = {}
    for path in results.glob("**/runs/*.parquet.json"):
        cells = json.loads(path.read_text(encoding="utf-8")).get("cells", [])
        configurations = [cell["configuration"] for cell in cells]
        for cell, configuration, own in zip(
            cells, configurations, _costs(configurations), strict=True
        ):
            # Waiting for a processor that others use is no part of a run.
            on_cpu = configuration["device"] == "cpu" and "cpu_seconds" in cell
            seconds = cell["cpu_seconds" if on_cpu else "wall_seconds"]
            if seconds > 0:
                for kind in _kinds(configuration):
                    ran.setdefault(kind, []).append(Ran(own, seconds))
    return ran


def estimate(
    due: Mapping[str, int], jobs: Iterable[Job], earlier: Earlier, cores: int, experiments: int
) -> Time:
    """The time of jobs, by the number of each rule's, of which those of ``jobs`` simulate; claims and page
    are of so many ``experiments``."""
    guessed: set[str] = set()
    simulated = []
    for job in jobs:
        seconds = START_SECONDS["simulate"]
        configurations = [cell.settings.model_dump() for cell in job.cells]
        for configuration, own in zip(configurations, _costs(configurations), strict=True):
            found, is_guess = _seconds(configuration, own, earlier)
            seconds += found
            if is_guess:
                guessed.add(f"{configuration['method']['name']} on {configuration['task']['name']}")
        simulated.append(seconds)
    others = sum(
        START_SECONDS.get(rule, 0) * n * (experiments if rule in OF_EACH else 1)
        for rule, n in due.items()
        if rule != "simulate"
    )
    overhead = SNAKEMAKE_SECONDS + JOB_SECONDS * sum(due.values())
    total = sum(simulated) + others
    # The longest job runs on one core, whatever the others do.
    spread = max((sum(simulated) + others) / cores, max(simulated, default=0.0))
    return Time(total + overhead, spread + overhead, frozenset(guessed))


def runs(configuration: Mapping[str, Any]) -> int:
    """Runs of a cell: seeds times step sizes times damping values; where other seeds tune, theirs, and
    those of what is reported."""
    method, tune_seeds = configuration["method"], configuration.get("tune_seeds")
    if tune_seeds is None:
        variants = max(1, len(method["lr"])) * max(1, len(method["damping"]))
        return len(configuration["seeds"]) * variants
    fixed = method.get("fixed_lr", [])
    tried = most_tried(method["lr"], fixed, method["damping"])
    return len(tune_seeds) * tried + len(configuration["seeds"]) * (1 + len(fixed))


def _costs(configurations: Sequence[Mapping[str, Any]]) -> list[float]:
    """The cost of each cell of a job."""
    trained = [_trained(configuration) for configuration in configurations]
    sharing = Counter(trained)
    costs = []
    for configuration, own in zip(configurations, trained, strict=True):
        task = configuration["task"]
        size = (task.get("d_x", task.get("d", 100)) / 100) ** 2 * task.get("depth", 1)
        costs.append(
            _steps(configuration) * (FIXED_RUNS + runs(configuration)) * size / sharing[own]
        )
    return costs


def _steps(configuration: Mapping[str, Any]) -> float:
    """Steps that are taken: where a run ends when it arrives, about as many as SGD takes."""
    most = max(1, configuration["steps"])
    if configuration.get("stop_at") is None:
        return most
    task = configuration["task"]
    return min(most, ARRIVES + task.get("kappa_x", 1) * task.get("kappa_f", 1) ** 2)


def _trained(configuration: Mapping[str, Any]) -> str:
    """What is trained: cells that differ in what is measured alone are trained at once."""
    task = configuration["task"]
    known = TASKS.get(task["name"])
    only_measured = known.measured_only if known is not None else frozenset()
    kept = {key: value for key, value in task.items() if key not in only_measured}
    return canonical([configuration["method"]["name"], configuration["steps"], kept])


def _seconds(configuration: Mapping[str, Any], cost: float, earlier: Earlier) -> tuple[float, bool]:
    """Seconds of a cell, and whether they are a guess: the median of what earlier cells of its kind say,
    those that are nearest in cost, else those of its task."""
    for place, kind in enumerate(_kinds(configuration)):
        if found := earlier.get(kind):
            near = sorted(found, key=lambda ran: abs(math.log(ran.cost / cost)))[:NEAREST]
            return median(ran.seconds * cost / ran.cost for ran in near), place > 0
    *_, shared = _kinds(configuration)
    return SECONDS.get(shared, OTHER_SECONDS) * cost, True


def _kinds(configuration: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    method = configuration["method"]
    own = method["rule"], str(method["options"].get("optimizer")), method["network"]
    shared = configuration["task"]["name"], configuration["engine"]
    return (*own, *shared), shared
