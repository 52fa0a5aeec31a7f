"""From an experiment's configuration to the cells of the pipeline. No torch: every job parses this.

A cell is a method on a problem, with all seeds, step sizes and damping values; its canonical JSON is
what decides whether it is run again.
"""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import Field

from layerwise.compose import PATH_KEYS, compose_config, options
from layerwise.settings import (
    ConfigError,
    LinearProblem,
    LinearTask,
    Positive,
    Settings,
    nearest,
    run_settings,
    validate,
)


class Experiment(Settings):
    """What an experiment compares, and the rule that selects step sizes, the same for all methods."""

    name: str
    problems: Annotated[list[dict[str, Any]], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]
    # "nothing" collects the tables as they are.
    select_by: Literal["steps_to_target", "mean_subspace_distance", "subspace_distance", "nothing"]
    target: Positive | None  # the subspace distance whose first passage is reported
    figures: Annotated[list[str], Field(min_length=1)]
    caption: str  # what the figures draw; {rule} stands for the selection of step sizes


class Scale(Settings):
    """How much of an experiment is run; None keeps all."""

    name: str
    max_steps: Annotated[int, Field(ge=1)] | None
    entries: Annotated[int, Field(ge=1)] | None
    axis_points: Annotated[int, Field(ge=1)] | None
    lr_points: Annotated[int, Field(ge=1)] | None


@dataclass(frozen=True)
class Cell:
    """One job: ``settings`` is the canonical JSON of its run settings, ``instance`` of its problem, empty
    where a run draws its own."""

    experiment: str
    problem: str
    method: str
    modules: tuple[str, ...]  # the task's and the rule's, which a run loads by name
    settings: str
    instance: str
    varied: dict[str, Any]  # the keys of the task that the experiment varies, for the tables


@dataclass(frozen=True)
class ExperimentPlan:
    """An experiment's cells, the methods' labels, and what was run in words."""

    experiment: Experiment
    cells: tuple[Cell, ...]
    task: str
    labels: dict[str, str]
    summary: str  # what was run, in words, for captions

    @property
    def reduction(self) -> str:
        """Canonical JSON of the cells' tables, in order, and of the rule that selects step sizes."""
        return canonical(
            {
                "cells": [{"problem": cell.problem, "varied": cell.varied} for cell in self.cells],
                "select_by": self.experiment.select_by,
                "target": self.experiment.target,
            }
        )


def canonical(content: Any) -> str:
    """The one JSON text of a content: sorted keys, no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def results_label(scale: str, overrides: Sequence[str]) -> str:
    """The folder of a scale's results, with its slash: none for the paper's, one of its own for each set of
    overrides, whatever their order, so that they live side by side."""
    if not overrides:
        return "" if scale == "paper" else f"/{scale}"
    return f"/{scale}-{hashlib.sha256(canonical(sorted(overrides)).encode()).hexdigest()[:8]}"


def plan_all(
    names: Sequence[str] | str | None, scale: str, overrides: Sequence[str] = ()
) -> dict[str, ExperimentPlan]:
    """Plans of the named experiments, of all when None. Raises ConfigError with one sentence."""
    chosen = (
        options("experiment") if names is None else [names] if isinstance(names, str) else names
    )
    plans = {}
    for name in chosen:
        try:
            plans[name] = plan(name, scale, overrides)
        except ConfigError as error:
            raise ConfigError(f"{error} (in experiment {name!r})") from None
    return plans


def plan(name: str, scale: str, overrides: Sequence[str] = ()) -> ExperimentPlan:
    """Compose an experiment at a scale and expand it. Raises ConfigError with one sentence."""
    config = compose_config(
        [
            "~method",
            *(f"+method@methods.{method}={method}" for method in options("method")),
            f"+experiment={name}",
            f"+scale={scale}",
            *overrides,
        ]
    )
    content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    experiment = validate(Experiment, content.pop("experiment"), "experiment")
    scaled = validate(Scale, content.pop("scale"), "scale")
    methods = content.pop("methods")
    for method in experiment.methods:
        if method not in methods:
            raise ConfigError(
                f"experiment.methods = {method!r} is unknown{nearest(method, list(methods))} "
                f"(allowed are {', '.join(methods)})"
            )
    labels = {method: methods[method].pop("label") for method in methods}
    base = {key: value for key, value in content.items() if key not in PATH_KEYS}
    if scaled.max_steps is not None:
        base["steps"] = min(base["steps"], scaled.max_steps)
    cells = [
        _cell(experiment, problem, base, _thin_lr(methods[method], scaled))
        for problem in _problems(experiment, scaled, _overridden(base["task"], overrides))
        for method in experiment.methods
    ]
    task = base["task"]["name"]
    return ExperimentPlan(experiment, tuple(cells), task, labels, _summary(experiment, cells))


def _thin(values: list[Any], points: int | None) -> list[Any]:
    """Keep ``points`` values: the ends, and evenly between them."""
    if points is None or len(values) <= points:
        return values
    if points == 1:
        return values[:1]
    return [values[round(i * (len(values) - 1) / (points - 1))] for i in range(points)]


def _thin_lr(method: dict[str, Any], scale: Scale) -> dict[str, Any]:
    lr = method["lr"]
    return method | {"lr": _thin(lr, scale.lr_points) if isinstance(lr, list) else lr}


def _overridden(task: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The keys of the task that overrides set, with their values: they replace an axis."""
    keys = [override.split("=")[0].removeprefix("task.") for override in overrides]
    return {key: task[key] for key in keys if key in task}


def _problems(
    experiment: Experiment, scale: Scale, replaced: dict[str, Any]
) -> list[dict[str, Any]]:
    """Every entry stands for the product of its lists. A scale that keeps some points keeps them of
    an entry's first list; its other lists then keep their first value."""
    expanded = []
    for entry in experiment.problems[: scale.entries]:
        axes = [
            value if isinstance(value, list) else [value]
            for value in (replaced.get(key, value) for key, value in entry.items())
        ]
        if scale.axis_points is not None:
            first = next((i for i, axis in enumerate(axes) if len(axis) > 1), 0)
            axes = [
                _thin(axis, scale.axis_points if i == first else 1) for i, axis in enumerate(axes)
            ]
        expanded += [dict(zip(entry, point, strict=True)) for point in itertools.product(*axes)]
    return expanded


def _cell(
    experiment: Experiment, varied: dict[str, Any], base: dict[str, Any], method: dict[str, Any]
) -> Cell:
    # "regime" and "along" name an entry for readers; the other keys are the task's.
    changes = {key: value for key, value in varied.items() if key not in ("regime", "along")}
    unknown = [key for key in changes if key not in base["task"]]
    if unknown:
        raise ConfigError(
            f"experiment.problems names {unknown[0]!r}, which is no key of the task"
            f"{nearest(unknown[0], list(base['task']))}"
        )
    try:
        settings = run_settings(base | {"task": base["task"] | changes, "method": method})
    except ConfigError as error:
        raise ConfigError(str(error).replace("method.", f"methods.{method['name']}.")) from None
    dumped = settings.model_dump()
    instance = ""
    if isinstance(settings.task, LinearTask):
        problem = {key: dumped["task"][key] for key in LinearProblem.model_fields}
        instance = canonical(problem | {"seeds": settings.seeds})
    readable = "_".join(f"{key}-{value}" for key, value in varied.items())
    digest = hashlib.sha256(canonical(dumped["task"]).encode()).hexdigest()[:8]
    return Cell(
        experiment=experiment.name,
        problem=f"{readable}_{digest}",
        method=settings.method.name,
        modules=(
            f"layerwise.tasks.{settings.task.name}",
            f"layerwise.methods.{settings.method.rule.split('.')[0]}",
        ),
        settings=canonical(dumped),
        instance=instance,
        varied=varied,
    )


RULES = {
    "steps_to_target": "the fewest iterations to subspace distance {target:g}",
    "mean_subspace_distance": "the smallest subspace distance on average over the iterations",
    "subspace_distance": "the smallest subspace distance at the last iteration",
}


def _summary(experiment: Experiment, cells: Sequence[Cell]) -> str:
    """What was run, in words: settings that all problems share, seeds, and what is drawn."""
    settings = [json.loads(cell.settings) for cell in cells]
    first = settings[0]
    shared = {
        key: value
        for key, value in first["task"].items()
        if value is not None and key not in cells[0].varied and key != "name"
    }
    words = ", ".join(f"{key} = {value}" for key, value in shared.items())
    task = first["task"]["name"].replace("_", " ").capitalize()
    steps = "" if experiment.select_by == "nothing" else f"{first['steps']} steps, "
    return f"{task} with {words}; {steps}{len(first['seeds'])} seeds. " + experiment.caption.format(
        rule=_rule(experiment)
    )


def _rule(experiment: Experiment) -> str:
    """The rule that selects step sizes, as a sentence; nothing where none are selected."""
    if experiment.select_by == "nothing":
        return ""
    return (
        "For every method alike, the step size (and damping) is the one with "
        f"{RULES[experiment.select_by].format(target=experiment.target)}, by the median over seeds, "
        "among those of its grid with which no seed diverges."
    )
