"""Tuning and reporting apart: choices are tried on some seeds, and what they select is run on others."""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

import pandas as pd

from layerwise.results.columns import REPORTING, TUNING
from layerwise.results.selection import best, score_variants
from layerwise.results.summary import summarise
from layerwise.settings.run import RunSettings
from layerwise.settings.search import Choices, coarse, refined
from layerwise.settings.selection import SELECTIONS

# Yields the groups of cells of each stage, is sent their tables, and returns those of all stages, cell by
# cell. Cells of a group train alike; groups of a stage wait for nothing of one another.
Stages = Generator[list[list[RunSettings]], list[list[pd.DataFrame]], list[pd.DataFrame]]


def in_stages(cells: Sequence[RunSettings]) -> Stages:
    """The table of each cell, rows of the tuning seeds first; cells differ in what is measured alone."""
    settings = cells[0]
    if settings.tune_seeds is None:
        (tables,) = yield [list(cells)]
        return [_staged(table, REPORTING) for table in tables]
    lrs, dampings = settings.method.lr, settings.method.damping
    first = coarse(lrs, settings.method.fixed_lr, dampings)
    (tuning,) = yield [[_tuning(cell, first) for cell in cells]]
    scores = _scores(settings, tuning[0])
    found = best(scores)
    # Where nothing is left to try this waits for the others, to report in step with them.
    around = refined(float(found["lr"]), float(found["damping"]), lrs, dampings, first)
    second = yield [[_tuning(cell, some) for cell in cells] for some in around]
    if second:
        tuning = [pd.concat(of, ignore_index=True) for of in zip(tuning, *second, strict=True)]
        scores = _scores(settings, tuning[0])
    chosen = yield [[choice(cell) for cell in cells] for choice in _choices(settings, scores)]
    stages = [[_staged(table, TUNING) for table in tuning]]
    stages += [[_staged(table, REPORTING) for table in of] for of in chosen]
    return [pd.concat(tables, ignore_index=True) for tables in zip(*stages, strict=True)]


def _staged(table: pd.DataFrame, stage: str) -> pd.DataFrame:
    table.insert(list(table).index("damping"), "stage", stage)
    return table


def _tuning(settings: RunSettings, some: Choices) -> RunSettings:
    """Choices on the tuning seeds, measured where the selection looks."""
    assert settings.select_by is not None
    looked_at = {SELECTIONS[settings.select_by][1], "subspace_distance"}
    metrics = [name for name in settings.task.metrics if name in looked_at]
    task = settings.tuning_task().model_copy(update={"metrics": metrics})
    lrs, dampings = some
    method = settings.method.model_copy(update={"lr": lrs, "damping": dampings})
    changed: dict[str, object] = {"seeds": settings.tune_seeds, "task": task, "method": method}
    if settings.select_by in settings.task.measures:  # a metric's last value, and no average
        changed["record_every"] = max(settings.steps, 1)
    return _alone(settings, **changed)


def _scores(settings: RunSettings, tuning: pd.DataFrame) -> pd.DataFrame:
    assert settings.select_by is not None
    summary = summarise(tuning.assign(problem=""), settings.target)
    return score_variants(summary, settings.select_by)


def _choices(
    settings: RunSettings, scores: pd.DataFrame
) -> Iterator[Callable[[RunSettings], RunSettings]]:
    """What takes a cell to its run on the reporting seeds, for the selected choice and, at each fixed step
    size, for the damping that is best there."""
    selected = best(scores)
    # Where the selected one is a fixed one as well, it goes on as such.
    half = None if settings.stop_at is None else settings.stop_at / 2
    fixed = selected["lr"] in settings.method.fixed_lr
    yield partial(_chosen, choice=selected, stop_at=half if fixed else settings.stop_at)
    for lr in settings.method.fixed_lr:
        there = best(scores[scores["lr"] == lr])
        if there["lr"] != selected["lr"] or there["damping"] != selected["damping"]:
            yield partial(_chosen, choice=there, stop_at=half)


def _chosen(cell: RunSettings, choice: pd.Series, stop_at: float | None) -> RunSettings:
    """The choice alone, on the reporting seeds."""
    damping = [float(choice["damping"])] if cell.method.damping else []
    method = cell.method.model_copy(update={"lr": [float(choice["lr"])], "damping": damping})
    return _alone(cell, method=method, stop_at=stop_at)


def _alone(settings: RunSettings, **changed: object) -> RunSettings:
    """Settings of one stage, which selects nothing."""
    return settings.model_copy(
        update={"tune_seeds": None, "tune_as": {}, "select_by": None, "target": None, **changed}
    )
