"""What runs have in common that is drawn or trained once for all of them. No torch."""

import json
from typing import TYPE_CHECKING

from layerwise.settings.tasks import TASKS

if TYPE_CHECKING:
    from layerwise.settings.run import RunSettings


def training_problem(settings: "RunSettings") -> str:
    """What methods must share to be trained on the same batches: the task but for what is measured alone,
    the seeds, and how numbers are drawn."""
    return _but_for(settings, frozenset())


def drawn_alike(settings: "RunSettings") -> str:
    """What methods must share to train in step on the same draws, of which a problem's batches are made: a
    :func:`training_problem` but for what changes no draw."""
    moments = settings.engine == "moments"
    return _but_for(settings, TASKS[settings.task.name].beside_draws if moments else frozenset())


def _but_for(settings: "RunSettings", keys: frozenset[str]) -> str:
    task = settings.task
    apart = TASKS[task.name].measured_only | keys | {"metrics"}
    drawn = {key: getattr(settings, key) for key in ("seeds", "engine", "dtype", "device")}
    return json.dumps({**drawn, "task": task.model_dump(exclude=set(apart))}, sort_keys=True)
