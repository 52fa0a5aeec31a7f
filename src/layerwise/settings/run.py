"""Typed settings of a run: task, method, engine, seeds and steps. No torch.

Every check happens before any work starts: a wrong value is answered with its key, the value and
what is allowed.
"""

import importlib.util
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from layerwise.settings.rule import RuleCard, check_options, rule_card
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import (
    ConfigError,
    NonNegative,
    Positive,
    Settings,
    nearest,
    validate,
)

# All seeds of a cell lie in memory at once.
MAX_SEEDS = 100_000
MAX_SEED = 2**63 - 1


def _as_list(value: Any) -> Any:
    """A single number stands for a list of one."""
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


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


Unit = Annotated[float, Field(ge=0, lt=1)]


class Options(Settings):
    """Bounds of the options that rules take beyond step size and damping. A method's file sets its
    own options; one that is not listed here is passed on to the rule as it is."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    beta1: Unit | None = None
    beta2: Unit | None = None
    epsilon: Positive | None = None
    precondition_outputs: bool | None = None
    lr_head: Positive | None = None
    factor_decay: Unit | None = None
    optimizer: Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")] | None = None  # an import path


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


class MethodSettings(Settings):
    """An update rule, the network that it trains, and the grids of its step size and damping."""

    name: str
    # module.Class of methods/ or of ``rule_file``, or the import path of an installed one.
    rule: Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")]
    # The file of a rule that is not in methods/; where the method's file lies, or its package, tells.
    rule_file: str | None = None
    network: str  # of the task's
    lr: Annotated[list[Positive], BeforeValidator(_as_list), Field(min_length=1)]
    # Empty where the rule has no damping.
    damping: Annotated[list[NonNegative], BeforeValidator(_as_list)]
    options: dict[str, Any]

    @property
    def card(self) -> RuleCard:
        """What the rule needs and takes."""
        return rule_card(self.rule, self.rule_file)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        card = self.card
        if self.damping and not card.takes_damping:
            raise ValueError(
                f"method.damping = {self.damping} is not allowed: {self.name} has no damping, leave []"
            )
        if card.takes_damping and not self.damping:
            raise ValueError("method.damping = [] is not allowed: at least one value is needed")
        if "gauss_newton" in card.needs and 0 in self.damping:
            raise ValueError(
                "method.damping = 0 is not allowed: the Gauss-Newton matrix of a two-layer network is "
                "singular, a positive damping is needed"
            )
        for key in ("lr", "damping"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"method.{key} = {values} is not allowed: values must differ")
        validate(Options, self.options, "method.options")
        check_options(self.rule, card, self.options)
        return self


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
        if (path := self.method.options.get("optimizer")) is not None:
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
    if task.get("name") not in TASKS:
        name = str(task.get("name"))
        raise ConfigError(
            f"task = {name!r} is unknown{nearest(name, list(TASKS))} (allowed are {', '.join(TASKS)})"
        )
    engine = values.get("engine")
    if engine is None:
        engine = validate(TASKS[task["name"]], task, "task").engine
    settings = validate(RunSettings, values | {"task": task, "engine": engine, "method": method})
    return settings.model_copy(update=settings.used_packages())


def filled_in(method: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """The method's settings with its open ones filled in, as far as they can be told: from the task's
    ``grids``, and from what its network offers."""
    filled = dict(method)
    rule, grids = str(method.get("rule")), task.get("grids")
    if rule.count(".") > 1 and method.get("rule_file") is None:
        filled["rule_file"] = _file_of(rule.rpartition(".")[0])
    try:
        card = rule_card(rule, filled.get("rule_file"))
    except ValueError:
        return filled  # refused with the rest
    if isinstance(grids, dict):
        for key in ("lr", "damping"):
            if key in method and method[key] is None:
                own = grids.get(card.scale, {}).get(key, [])
                filled[key] = own if key == "lr" or card.takes_damping else []
    options = method.get("options")
    if isinstance(options, dict):
        networks = TASKS[task["name"]].networks if task.get("name") in TASKS else {}
        offers = networks.get(str(method.get("network")), frozenset())
        open_ones = [key for key in card.where_offered if options.get(key, True) is None]
        filled["options"] = options | {key: card.option_needs[key] in offers for key in open_ones}
    return filled


def _file_of(module: str) -> str | None:
    """The file of an installed module, None where it cannot be found."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin
