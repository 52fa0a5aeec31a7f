"""Methods on one training problem, run together where their task can, else one after the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from layerwise.results.files import canonical
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks import TASKS
from layerwise.tasks.together import Ran, Seconds


def training_problem(settings: RunSettings) -> str:
    """What methods must share to be trained on the same draws: the task but for what is measured alone, the
    seeds, and how numbers are drawn."""
    task = settings.task
    apart = TASKS[task.name].measured_only | {"metrics"}
    drawn = {key: getattr(settings, key) for key in ("seeds", "engine", "dtype", "device")}
    return canonical({**drawn, "task": task.model_dump(exclude=set(apart))})


def run_groups(
    task: ModuleType,
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """The tables of each group of cells that are trained at once, and its own time. All groups have one
    :func:`training_problem`."""
    if hasattr(task, "run_together"):
        ran: list[Ran] = task.run_together(groups, instances, reports)
        return ran
    return [_alone(task, *of, instances) for of in zip(groups, reports, strict=True)]


def _alone(
    task: ModuleType,
    cells: Sequence[RunSettings],
    report: Callable[[int], None],
    instances: Path | None,
) -> Ran:
    start = Seconds.now()
    tables = task.run(cells, instances, report)
    return Ran(tables, Seconds.now().since(start))
