"""Methods on one training problem, run together where their task can, else one after the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from layerwise.results.files import canonical
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks import TASKS
from layerwise.tasks.together import Ran, Seconds
from layerwise.tasks.tuning import in_stages


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
    """The tables of each group of cells that are trained at once, and its own time. In every stage of their
    runs, groups with one :func:`training_problem` run together."""
    stages = [in_stages(cells) for cells in groups]
    ran = [Ran([], Seconds(0.0, 0.0)) for _ in groups]
    wanted = {place: next(stage) for place, stage in enumerate(stages)}
    while wanted:
        alike: dict[str, list[int]] = {}
        for place, cells in wanted.items():
            alike.setdefault(training_problem(cells[0]), []).append(place)
        done: dict[int, Ran] = {}
        for places in alike.values():
            own = [wanted[place] for place in places]
            found = _run_stage(task, own, instances, [reports[place] for place in places])
            done |= dict(zip(places, found, strict=True))
        wanted = {}
        for place, one in done.items():
            seconds = Seconds.total([ran[place].seconds, one.seconds])
            ran[place] = Ran([], seconds)
            try:
                wanted[place] = stages[place].send(one.tables)
            except StopIteration as end:
                ran[place] = Ran(end.value, seconds)
    return ran


def _run_stage(
    task: ModuleType,
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """On one training problem: together where the task can, else one after the other."""
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
