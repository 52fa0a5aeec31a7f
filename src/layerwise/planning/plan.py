"""From an experiment's configuration to the cells and jobs of the pipeline. No torch.

A job runs several of a method's cells, so that its start-up does not count, or at a small scale those of
all methods.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from layerwise.planning.captions import shared_settings
from layerwise.planning.compose import PATH_KEYS, check_option, compose_experiment, options
from layerwise.planning.drawing import check_figures
from layerwise.planning.expand import LABEL_KEYS, expand
from layerwise.planning.identity import LIST_KEYS, one_value, plain
from layerwise.planning.jobs import Cell, Job
from layerwise.planning.overrides import Overrides, read
from layerwise.results.files import canonical
from layerwise.settings.alike import drawn_alike
from layerwise.settings.experiment import Experiment, Scale
from layerwise.settings.memory import ROW_BYTES, held_bytes, rows
from layerwise.settings.method import as_list, filled_in
from layerwise.settings.run import run_settings
from layerwise.settings.selection import NOTHING
from layerwise.settings.validation import ConfigError, nearest, validate

# Cells of a job, unless Snakemake's configuration says otherwise.
CELLS_PER_JOB = 16
# Memory of a job's tables together, unless one cell's alone takes more.
TABLES_BYTES = 8e9
# Memory of what methods in step hold between two steps, likewise.
HELD_BYTES = 4e9
# Settings of a run, beside its task's, that an experiment's problems may vary.
RUN_AXES = ("steps", "schedule")
# The name of jobs that run all methods of an experiment.
ALL_METHODS = "all"


@dataclass(frozen=True)
class ExperimentPlan:
    """An experiment's cells, the methods' labels, and whether jobs keep methods apart."""

    experiment: Experiment
    cells: tuple[Cell, ...]
    task: str
    labels: dict[str, str]
    methods_apart: bool
    left_out: dict[str, str]  # methods that were to be added and do not fit, with the refusal
    added: frozenset[str]  # methods that the experiment has by overrides alone

    def jobs(self, cells_per_job: int = CELLS_PER_JOB) -> dict[tuple[str, int], Job]:
        """Jobs by method, or ALL_METHODS, and part, at most ``cells_per_job`` cells.

        A job of all methods has all of a problem's, which share what they are trained on, and those of the
        next problems that are drawn alike, though they be more cells. A method that overrides add runs
        alone, so that it leaves the others' jobs as they are.
        """
        methods = self.experiment.methods
        blocks: dict[str, dict[str, list[Cell]]] = {}
        for method in methods:
            alone = self.methods_apart or method in self.added
            own = blocks.setdefault(method if alone else ALL_METHODS, {})
            for cell in self.cells:
                if cell.settings.method.name == method:
                    own.setdefault(cell.problem, []).append(cell)
        return {
            (name, part): Job(_by_method(some, methods))
            for name, own in blocks.items()
            for part, some in enumerate(_parts(list(own.values()), cells_per_job))
        }

    @property
    def reduction(self) -> dict[str, Any]:
        """The rule that selects step sizes."""
        return {"select_by": self.experiment.select_by, "target": self.experiment.target}

    @property
    def summary(self) -> str:
        """What was run, in words, for captions."""
        first = self.cells[0].settings
        tuned_on = len(first.tune_seeds or [])
        steps = sorted({cell.settings.steps for cell in self.cells})
        shared = shared_settings(self.cells)
        return self.experiment.described(shared, steps, len(first.seeds), tuned_on)


def _by_method(cells: Sequence[Cell], methods: Sequence[str]) -> tuple[Cell, ...]:
    """Those of a method next to each other."""
    return tuple(sorted(cells, key=lambda cell: methods.index(cell.settings.method.name)))


def _parts(blocks: Sequence[Sequence[Cell]], cells_per_job: int) -> list[list[Cell]]:
    """Whole units of cells in their order, at most ``cells_per_job`` cells or one unit together, and fewer
    where their tables, which a job holds at once, would not fit."""
    parts: list[list[Cell]] = []
    held = 0.0
    for unit in _units(blocks, cells_per_job):
        size = _tables_bytes(unit)
        full = not parts or len(parts[-1]) + len(unit) > cells_per_job
        if full or held + size > TABLES_BYTES:
            parts.append([])
            held = 0.0
        parts[-1].extend(unit)
        held += size
    return parts


def _units(blocks: Sequence[Sequence[Cell]], cells_per_job: int) -> list[list[Cell]]:
    """Problems one after the other that are drawn alike, so that they are drawn once, unless one alone is
    more than a job or what they hold would not fit."""
    units: list[list[Cell]] = []
    draws = ""
    for block in blocks:
        own = drawn_alike(block[0].settings)
        joined = [*units[-1], *block] if units and own == draws else []
        fits = (
            len(block) <= cells_per_job
            and sum(held_bytes(cell.settings) for cell in joined) <= HELD_BYTES
        )
        if joined and fits and _tables_bytes(joined) <= TABLES_BYTES:
            units[-1] = joined
        else:
            units.append(list(block))
        draws = own
    return units


def _tables_bytes(cells: Sequence[Cell]) -> int:
    return sum(ROW_BYTES * rows(cell.settings) for cell in cells)


def plan_all(
    names: Sequence[str] | None, scale: str, overrides: Sequence[str] = ()
) -> dict[str, ExperimentPlan]:
    """Plans of the named experiments, of all when None. Raises ConfigError with one sentence."""
    chosen = options("experiment") if names is None else names
    parsed = read(overrides)
    check_option("scale", scale)
    for group, given in (("experiment", chosen), ("method", parsed.named_methods)):
        for name in given:
            check_option(group, name, parsed.methods_from)
    plans = {}
    for name in chosen:
        try:
            plans[name] = _plan(name, scale, parsed, everywhere=names is None)
        except ConfigError as error:
            raise ConfigError(f"{error} (in experiment {name!r})") from None
    _refuse_idle(parsed, plans)
    return plans


def plan(name: str, scale: str, overrides: Sequence[str] = ()) -> ExperimentPlan:
    """The plan of an experiment. Raises ConfigError with one sentence."""
    return plan_all([name], scale, overrides)[name]


def _plan(name: str, scale: str, overrides: Overrides, everywhere: bool) -> ExperimentPlan:
    """Compose an experiment at a scale and expand it. A method that overrides add to all experiments
    (``everywhere``) is left out of those that it does not fit."""
    content = compose_experiment(name, scale, overrides)
    listed = content["experiment"]["methods"]
    added = [one for one in overrides.methods if isinstance(listed, list) and one not in listed]
    experiment = validate(
        Experiment, _with_added(content.pop("experiment"), overrides), "experiment"
    )
    experiment.check(name, str(content["task"]["name"]), content["task"]["metrics"])
    scaled = validate(Scale, content.pop("scale"), "scale")
    methods = content.pop("methods")
    for method in experiment.methods:
        check_option("method", method, overrides.methods_from)
    labels = {method: _label(methods[method]) for method in experiment.methods}
    base = {key: value for key, value in content.items() if key not in PATH_KEYS}
    # What an override sets, a scale leaves as it is.
    changed = {change.key for change in overrides.changes}
    if scaled.own_seeds and experiment.seeds is not None and "seeds" not in changed:
        base["seeds"] = list(range(base["seeds"][0], base["seeds"][0] + experiment.seeds))
    if scaled.own_seeds and experiment.tune_seeds is not None and "tune_seeds" not in changed:
        base["tune_seeds"] = experiment.tune_seeds
    base |= _tuning(experiment, base["tune_seeds"], changed)
    for method in experiment.methods:
        methods[method] = filled_in(methods[method], base["task"])
        if isinstance(lr := methods[method]["lr"], list) and f"methods.{method}.lr" not in changed:
            fixed = as_list(methods[method].get("fixed_lr"))
            also = fixed if isinstance(fixed, list) else []  # what is none is refused with the rest
            kept = [*scaled.thinned(lr, scaled.lr_points), *also]
            methods[method]["lr"] = [value for value in lr if value in kept]
    set_keys = [key for key in base["task"] if f"task.{key}" in changed and key not in LIST_KEYS]
    replaced = {key: one_value(key, base["task"][key]) for key in set_keys}
    base["task"] |= replaced
    replaced |= {key: base[key] for key in RUN_AXES if key in changed}
    problems = [plain(problem) for problem in expand(experiment.problems, scaled, replaced)]
    if scaled.max_steps is not None and "steps" not in changed:
        base["steps"] = min(base["steps"], scaled.max_steps)
        # Problems that differ in their steps still do: the cap is the longest one's.
        varied = [problem for problem in problems if "steps" in problem]
        longest = max((problem["steps"] for problem in varied), default=0)
        if longest > scaled.max_steps:
            for one in varied:
                one["steps"] = max(1, round(one["steps"] * scaled.max_steps / longest))
    cells: dict[str, list[Cell]] = {}
    left_out: dict[str, str] = {}
    for method in experiment.methods:
        try:
            cells[method] = [
                _cell(problem, base, methods[method], overrides.method_word) for problem in problems
            ]
        except ConfigError as error:
            if not everywhere or method not in added:
                raise
            left_out[method] = str(error)
    present = [method for method in experiment.methods if method in cells]
    experiment = experiment.model_copy(update={"methods": present})
    ordered = tuple(cell for row in zip(*cells.values(), strict=True) for cell in row)
    if ordered:
        shared = {*LABEL_KEYS, *RUN_AXES}.intersection(*problems)
        check_figures(experiment, [cell.settings for cell in ordered], shared)
    return ExperimentPlan(
        experiment,
        ordered,
        base["task"]["name"],
        {method: labels[method] for method in present},
        scaled.jobs_of == "method",
        left_out,
        frozenset(added),
    )


def _tuning(experiment: Experiment, tune_seeds: Any, changed: set[str]) -> dict[str, Any]:
    """The settings by which an experiment's runs select a choice; none where all choices are reported."""
    if experiment.reports == "all" or experiment.select_by == NOTHING:
        if tune_seeds is not None and "tune_seeds" in changed:
            raise ConfigError(
                f"tune_seeds = {tune_seeds!r} is not allowed: all choices are reported, leave null"
            )
        return {"tune_seeds": None}
    if tune_seeds is None:
        return {}
    selected = {"select_by": experiment.select_by}
    passes = experiment.select_by == "iterations"
    return selected | ({"target": experiment.target} if passes else {})


def _label(method: dict[str, Any]) -> str:
    """What figures call a method; it is not among the settings of its runs."""
    label = method.pop("label", None)
    if not isinstance(label, str):
        name = method["name"]
        raise ConfigError(f"method.{name}.label = {label!r} is not allowed: allowed is text")
    return label


def _with_added(experiment: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """The experiment with the added methods that it lacks."""
    own = experiment["methods"]
    if not isinstance(own, list):
        return experiment  # to be refused with whatever else is wrong with it
    added = [name for name in overrides.methods if name not in own]
    return experiment | {"methods": [*own, *added]}


def _refuse_idle(overrides: Overrides, plans: dict[str, ExperimentPlan]) -> None:
    """Refuse overrides that concern a method which no experiment has."""
    present = {method for planned in plans.values() for method in planned.experiment.methods}
    for planned in plans.values():
        for method, reason in planned.left_out.items():
            if method not in present:
                raise ConfigError(f"+method={method} fits none of the experiments: {reason}")
    for change in overrides.changes:
        parts = change.key.split(".")
        if parts[0] == "methods" and parts[1] not in present:
            raise ConfigError(
                f"{change.typed} = {change.text} is not allowed: the method is in none of the "
                f"experiments {', '.join(plans)}"
            )


def _cell(varied: dict[str, Any], base: dict[str, Any], method: dict[str, Any], word: str) -> Cell:
    named = {key: value for key, value in varied.items() if key not in LABEL_KEYS}
    of_run = {key: named.pop(key) for key in RUN_AXES if key in named}
    changes = named
    unknown = [key for key in changes if key not in base["task"]]
    if unknown:
        raise ConfigError(
            f"experiment.problems names {unknown[0]!r}, which is no key of the task"
            f"{nearest(unknown[0], list(base['task']))}"
        )
    try:
        settings = run_settings(base | of_run | {"task": base["task"] | changes, "method": method})
    except ConfigError as error:
        raise ConfigError(str(error).replace("method.", f"{word}.{method['name']}.")) from None
    readable = "_".join(f"{key}-{value}" for key, value in varied.items())
    digest = hashlib.sha256(canonical(settings.task.model_dump()).encode()).hexdigest()[:8]
    return Cell(f"{readable}_{digest}", varied, settings)
