"""From an experiment's configuration to the cells and jobs of the pipeline. No torch.

A cell is a method on a problem, with all seeds, step sizes and damping values. A job runs a method on
several problems, so that its start-up does not count; its canonical JSON decides whether it is run
again.
"""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from layerwise.compose import PATH_KEYS, compose_config, options
from layerwise.experiment import Experiment, Scale
from layerwise.settings import (
    ConfigError,
    LinearTask,
    RunSettings,
    nearest,
    run_settings,
    validate,
)

# Names of an experiment's entries for readers; the other keys are the task's.
LABEL_KEYS = ("regime", "along")


@dataclass(frozen=True)
class Cell:
    """A method on a problem. ``varied`` holds the keys that the experiment varies, for the tables."""

    problem: str
    varied: dict[str, Any]
    settings: RunSettings


@dataclass(frozen=True)
class Job:
    """A method on some of an experiment's problems, one after the other."""

    method: str
    cells: tuple[Cell, ...]

    @property
    def content(self) -> str:
        """Canonical JSON of all that affects its numbers; the cells differ in their tasks alone."""
        shared = self.cells[0].settings.model_dump(exclude={"task"})
        problems = [
            {"problem": c.problem, "varied": c.varied, "task": c.settings.task.model_dump()}
            for c in self.cells
        ]
        return canonical({"settings": shared, "problems": problems})

    @property
    def modules(self) -> tuple[str, str]:
        """The task's and the rule's module, which a run loads by name."""
        settings = self.cells[0].settings
        rule = settings.method.rule.split(".")[0]
        return f"layerwise.tasks.{settings.task.name}", f"layerwise.methods.{rule}"


@dataclass(frozen=True)
class ExperimentPlan:
    """An experiment's cells, the methods' labels, and what was run in words."""

    experiment: Experiment
    cells: tuple[Cell, ...]
    task: str
    labels: dict[str, str]

    def jobs(self, cells_per_job: int) -> dict[tuple[str, int], Job]:
        """Jobs by method and part, a part being at most ``cells_per_job`` problems. Raises ConfigError."""
        if not isinstance(cells_per_job, int) or cells_per_job < 1:
            raise ConfigError(
                f"cells_per_job = {cells_per_job!r} is not allowed: allowed is a whole number of at least 1"
            )
        jobs = {}
        for method in self.experiment.methods:
            own = [cell for cell in self.cells if cell.settings.method.name == method]
            for part, start in enumerate(range(0, len(own), cells_per_job)):
                jobs[method, part] = Job(method, tuple(own[start : start + cells_per_job]))
        return jobs

    @property
    def instances(self) -> str:
        """Canonical JSON of the distinct instances that the cells share; [] where a run draws its own."""
        distinct = {
            cell.settings.task.instance(cell.settings.seeds): None
            for cell in self.cells
            if isinstance(cell.settings.task, LinearTask)
        }
        return f"[{','.join(distinct)}]"

    @property
    def reduction(self) -> str:
        """Canonical JSON of the rule that selects step sizes."""
        return canonical({"select_by": self.experiment.select_by, "target": self.experiment.target})

    @property
    def summary(self) -> str:
        """What was run, in words, for captions."""
        first = self.cells[0]
        shared = {
            key: value
            for key, value in first.settings.task.model_dump().items()
            if value is not None and key not in first.varied
        }
        return self.experiment.described(shared, first.settings.steps, len(first.settings.seeds))


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
        _cell(problem, base, _thin_lr(methods[method], scaled))
        for problem in _problems(experiment, scaled, _overridden(base["task"], overrides))
        for method in experiment.methods
    ]
    return ExperimentPlan(experiment, tuple(cells), base["task"]["name"], labels)


def _thin_lr(method: dict[str, Any], scale: Scale) -> dict[str, Any]:
    lr = method["lr"]
    return method | {"lr": scale.thinned(lr, scale.lr_points) if isinstance(lr, list) else lr}


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
                scale.thinned(axis, scale.axis_points if i == first else 1)
                for i, axis in enumerate(axes)
            ]
        expanded += [dict(zip(entry, point, strict=True)) for point in itertools.product(*axes)]
    return expanded


def _cell(varied: dict[str, Any], base: dict[str, Any], method: dict[str, Any]) -> Cell:
    changes = {key: value for key, value in varied.items() if key not in LABEL_KEYS}
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
    readable = "_".join(f"{key}-{value}" for key, value in varied.items())
    digest = hashlib.sha256(canonical(settings.task.model_dump()).encode()).hexdigest()[:8]
    return Cell(f"{readable}_{digest}", varied, settings)
