"""Methods on problems that are drawn alike, which their task runs together."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from layerwise.settings.alike import drawn_alike
from layerwise.settings.run import RunSettings
from layerwise.tasks.together import Ran, Seconds
from layerwise.tasks.tuning import in_stages


def run_groups(
    task: ModuleType,
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """The tables of each group of cells that are trained at once, and its own time. In every stage of their
    runs, groups that are :func:`drawn_alike` run together."""
    stages = [in_stages(cells) for cells in groups]
    ran = [Ran([], Seconds(0.0, 0.0)) for _ in groups]
    wanted = {place: next(stage) for place, stage in enumerate(stages)}
    while wanted:
        done = _run_wanted(task, wanted, instances, reports)
        wanted = {}
        for place, parts in done.items():
            seconds = Seconds.total([ran[place].seconds, *(part.seconds for part in parts)])
            ran[place] = Ran([], seconds)
            try:
                wanted[place] = stages[place].send([part.tables for part in parts])
            except StopIteration as end:
                ran[place] = Ran(end.value, seconds)
    return ran


def _run_wanted(
    task: ModuleType,
    wanted: Mapping[int, Sequence[Sequence[RunSettings]]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> dict[int, list[Ran]]:
    """What comes of the groups that each place wants: those that are drawn alike run together."""
    alike: dict[str, list[tuple[int, Sequence[RunSettings]]]] = {}
    for place, groups in wanted.items():
        for cells in groups:
            alike.setdefault(drawn_alike(cells[0]), []).append((place, cells))
    done: dict[int, list[Ran]] = {place: [] for place in wanted}
    for own in alike.values():
        cells_of, of = [cells for _, cells in own], [reports[place] for place, _ in own]
        for (place, _), ran in zip(own, task.run(cells_of, instances, of), strict=True):
            done[place].append(ran)
    return done
