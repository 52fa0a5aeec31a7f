"""Typed settings of a run: task, method, engine, seeds and steps. No torch.

Every check happens before any work starts: a wrong value is answered with its key, the value and
what is allowed.
"""

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from layerwise.settings.memory import check_memory
from layerwise.settings.method import MethodSettings, filled_in
from layerwise.settings.selection import SELECTIONS
from layerwise.settings.task import TaskSettings
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import (
    ConfigError,
    Positive,
    Settings,
    nearest,
    validate,
)

# All seeds of a cell lie in memory at once.
MAX_SEEDS = 100_000
MAX_SEED = 2**63 - 1


def _as_seeds(value: Any) -> Any:
    """A count n stands for the seeds 0 to n - 1."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"allowed is a count from 1 to {MAX_SEEDS}, or a list of seeds")
        return list(range(value))
    if not isinstance(value, list):
        raise ValueError(f"allowed is a count from 1 to {MAX_SEEDS}, or a list of seeds")
    return value


def tuning_seeds(count: Any, seeds: Any) -> Any:
    """A count n of tuning seeds stands for those next to ``seeds``: the n below the first of them where
    there is room, else the n above the last."""
    try:
        own = _as_seeds(seeds)
    except ValueError:
        return count  # the seeds are refused with the rest
    if not isinstance(count, int) or isinstance(count, bool) or not isinstance(own, list):
        return count  # as it stands, or refused with the rest
    if not 1 <= count <= MAX_SEEDS or not own or not all(isinstance(seed, int) for seed in own):
        return count
    first = min(own) - count
    if first < 0:
        first = max(own) + 1
    return list(range(first, first + count))


def _interval(value: int | str) -> int | str:
    if value != "log" and not (isinstance(value, int) and value >= 1):
        raise ValueError("allowed is an interval of at least 1, or log")
    return value


# The largest condition number that single precision resolves.
FLOAT32_CONDITION = 1e6

# What a rule needs of a network, in words.
NEEDS = {
    "gradients": "gradients",
    "inputs": "the second moment of every layer's inputs",
    "outputs": "a factor P of every layer's outputs that can be divided by",
    "refit": "a readout refitted by least squares",
    "linear": "a linear hidden layer",
    "readout": "a readout that is trained",
    "gauss_newton": "the Gauss-Newton step",
    "hessian": "the Hessian",
}


Task: Any = Annotated[reduce(or_, TASKS.values()), Field(discriminator="name")]


class RunSettings(Settings):
    """One cell: a method on a problem, for all its seeds, step sizes and damping values.

    :func:`run_settings` makes them, with nothing left open: what null stands for has been filled in.
    """

    task: Task
    method: MethodSettings
    engine: Literal["moments", "batches"]
    seeds: Annotated[
        list[Annotated[int, Field(ge=0, le=MAX_SEED)]],
        Field(min_length=1),
        BeforeValidator(_as_seeds),
    ]
    # All choices are tried on these seeds, and one of them is run on ``seeds``; null: all are run there.
    tune_seeds: (
        Annotated[
            list[Annotated[int, Field(ge=0, le=MAX_SEED)]],
            Field(min_length=1),
        ]
        | None
    )
    # Keys of the task with other values on the tuning seeds.
    tune_as: dict[str, Any]
    select_by: str | None  # what selects it: a key of SELECTIONS
    target: Positive | None  # of select_by = iterations
    steps: Annotated[int, Field(ge=0, le=10**9)]
    schedule: Literal["constant", "cosine", "inverse_time"]  # of step sizes, over the steps
    stop_at: Positive | None  # end once one variant has reached this distance with every seed
    record_every: Annotated[int | str, AfterValidator(_interval)]
    dtype: Literal["float64", "float32"]
    device: Literal["cpu", "cuda"]
    optimizer_packages: list[str]  # where method.options.optimizer may be imported from
    rule_packages: list[str]  # where method.rule may be imported from

    @model_validator(mode="after")
    def _imports_are_allowed(self) -> Self:
        for key, path, which in self._imported():
            packages = getattr(self, which)
            if not path.startswith(tuple(f"{name}." for name in packages)):
                of = f"a class of {', '.join(packages)}" if packages else "none"
                raise ValueError(
                    f"{key} = {path!r} is not allowed: allowed is {of} (the key {which} lists the packages)"
                    f"{nearest(path.rpartition('.')[0], packages)}"
                )
        return self

    def _imported(self) -> list[tuple[str, str, str]]:
        """What a run imports from elsewhere by its path: the setting's key, the path, and the key of the
        packages that are allowed."""
        found = []
        path = self.method.options.get("optimizer")
        if path is not None and self.method.optimizer_file is None:
            found.append(("method.options.optimizer", path, "optimizer_packages"))
        if self.method.rule.count(".") > 1:
            found.append(("method.rule", self.method.rule, "rule_packages"))
        return found

    @property
    def instances(self) -> list[str | None]:
        """Of each of its stages, as :meth:`layerwise.settings.task.TaskSettings.instance`."""
        own = [self.task.instance(self.seeds)]
        if self.tune_seeds is not None:
            own.insert(0, self.tuning_task().instance(self.tune_seeds))
        return own

    def used_packages(self) -> dict[str, list[str]]:
        """Of the packages that are allowed, those that the run uses: what else is allowed is no reason
        to run it again."""
        used: dict[str, list[str]] = {"optimizer_packages": [], "rule_packages": []}
        for _, path, which in self._imported():
            fitting = [name for name in getattr(self, which) if path.startswith(f"{name}.")]
            used[which] = [max(fitting, key=len)]
        return used

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds} is not allowed: seeds must differ")
        self._tuning_fits()
        if self.schedule != "constant" and self.steps < 2:
            raise ValueError(
                f"schedule = {self.schedule!r} is not allowed with steps = {self.steps}: the first step is "
                "taken at the full step size, leave constant"
            )
        if self.stop_at is not None and "stop_at" not in self.task.reads:
            raise ValueError(
                f"stop_at = {self.stop_at} is not allowed with task = {self.task.name!r}: it has no "
                "subspace distance, leave null"
            )
        self._metrics_are_there()
        self._network_offers()
        self.task.check(self)
        check_memory(self)
        return self

    def _tuning_fits(self) -> None:
        """Seeds tune or report, and a choice needs a rule that makes it."""
        if self.tune_seeds is None:
            given = {"select_by": self.select_by, "target": self.target, "tune_as": self.tune_as}
            for key, value in given.items():
                if value not in (None, {}):
                    raise ValueError(
                        f"{key} = {value!r} is not allowed with tune_seeds = null: nothing is selected"
                    )
            if self.method.fixed_lr:
                raise ValueError(
                    f"method.fixed_lr = {self.method.fixed_lr} is not allowed with tune_seeds = null: all "
                    "step sizes are reported, leave []"
                )
            return
        both = sorted({*self.tune_seeds} & {*self.seeds})
        if both or len(set(self.tune_seeds)) < len(self.tune_seeds):
            why = f"{both[0]} is among seeds" if both else "seeds must differ"
            raise ValueError(
                f"tune_seeds = {self.tune_seeds} is not allowed: {why}; a count, tune_seeds="
                f"{len(self.tune_seeds)}, stands for as many others"
            )
        self.tuning_task()  # refused here, and not in a job
        rules = self.task.selects
        if self.select_by is None or self.select_by not in rules:
            raise ValueError(
                f"select_by = {self.select_by!r} is not allowed with tune_seeds and task = "
                f"{self.task.name!r}: allowed is {' or '.join(rules)}"
                f"{nearest(str(self.select_by), list(rules))}"
            )
        metric = SELECTIONS[self.select_by][1]
        if metric not in self.task.metrics:
            raise ValueError(
                f"select_by = {self.select_by!r} is not allowed: task.metrics = {self.task.metrics} lacks "
                f"{metric}"
            )
        if (self.target is None) == (self.select_by == "iterations"):
            allowed = "a subspace distance" if self.target is None else "null"
            raise ValueError(
                f"target = {self.target} is not allowed with select_by = {self.select_by!r}: allowed is "
                f"{allowed}"
            )

    def tuning_task(self) -> TaskSettings:
        """The task on the tuning seeds. Raises ValueError for what it cannot be."""
        own: TaskSettings = self.task
        if not self.tune_as:
            return own
        for key in self.tune_as:
            known = list(type(self.task).model_fields)
            if key not in known or key in ("name", "metrics"):
                raise ValueError(
                    f"tune_as = {self.tune_as} is not allowed: there is no task.{key} that could be "
                    f"another{nearest(key, known)}"
                )
        try:
            return validate(type(self.task), self.task.model_dump() | self.tune_as, "task")
        except ConfigError as error:
            raise ValueError(f"tune_as = {self.tune_as} is not allowed: {error}") from None

    @model_validator(mode="after")
    def _precision_suffices(self) -> Self:
        for key in ("kappa_x", "kappa_f", "transfer_kappa_x"):
            value = getattr(self.task, key, None)
            if self.dtype == "float32" and value is not None and value > FLOAT32_CONDITION:
                raise ValueError(
                    f"task.{key} = {value} is not allowed with dtype = 'float32': at most "
                    f"{FLOAT32_CONDITION:g}, use dtype = float64"
                )
        return self

    def _metrics_are_there(self) -> None:
        measures, chosen = list(self.task.measures), self.task.metrics
        for name in chosen:
            if name not in measures:
                raise ValueError(
                    f"task.metrics = {name!r} is unknown{nearest(name, measures)} (allowed are "
                    f"{', '.join(measures)})"
                )
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"task.metrics = {chosen} is not allowed: allowed are one or more that differ"
            )

    def _network_offers(self) -> None:
        """What the rule needs, the network must offer."""
        method, networks = self.method, self.task.networks
        if method.network not in networks:
            raise ValueError(
                f"method.network = {method.network!r} is not allowed with task = {self.task.name!r}: "
                f"allowed are {', '.join(networks)}{nearest(method.network, list(networks))}"
            )
        extra = {
            need: f" with options.{option} = {str(method.options[option]).lower()}"
            for option, need in method.card.option_needs.items()
            if method.options.get(option)
        }
        offers = self.task.offers(method.network)
        for need in sorted(({*method.card.needs, *extra}) - offers):
            fitting = [name for name, offered in networks.items() if need in offered]
            instead = f", which {', '.join(fitting)} has" if fitting else ""
            raise ValueError(
                f"method.rule = {method.rule!r} is not allowed with method.network = "
                f"{method.network!r} and task = {self.task.name!r}: {method.name} needs "
                f"{NEEDS[need]}{extra.get(need, '')}, which this network has not{instead}"
            )


def run_settings(values: dict[str, Any]) -> RunSettings:
    """Validate a plain dictionary. Raises ConfigError with one sentence.

    What null stands for is filled in: the task's own engine, step sizes and dampings of the task's
    ``grids``, and whether the network offers what an option asks for.
    """
    task, method = values.get("task"), values.get("method")
    if not (isinstance(task, dict) and isinstance(method, dict)):
        return validate(RunSettings, values)  # which says what is wrong
    method = filled_in(method, task)
    task = {key: value for key, value in task.items() if key != "grids"}
    if str(task.get("name")) not in TASKS:
        name = str(task.get("name"))
        raise ConfigError(
            f"task = {name!r} is unknown{nearest(name, list(TASKS))} (allowed are {', '.join(TASKS)})"
        )
    engine = values.get("engine")
    if engine is None:
        engine = validate(TASKS[task["name"]], task, "task").engine
    tune_seeds = tuning_seeds(values.get("tune_seeds"), values.get("seeds"))
    filled = {"task": task, "engine": engine, "method": method, "tune_seeds": tune_seeds}
    settings = validate(RunSettings, values | filled)
    return settings.model_copy(update=settings.used_packages())
