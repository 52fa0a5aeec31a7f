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
    return value


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
    steps: Annotated[int, Field(ge=0, le=10**9)]
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
    settings = validate(RunSettings, values | {"task": task, "engine": engine, "method": method})
    return settings.model_copy(update=settings.used_packages())
