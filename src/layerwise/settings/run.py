"""Typed settings of a run: task, method, engine, seeds and steps. No torch.

Every check happens before any work starts: a wrong value is answered with its key, the value and
what is allowed.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from layerwise.settings.rule import check_rule
from layerwise.settings.task import (
    MAX_RAW_SAMPLES,
    SINGLE_INDEX_METHODS,
    SINGLE_INDEX_TRAINING_METHODS,
    LinearTask,
    SingleIndexTask,
    SingleIndexTrainingTask,
    SpikeTask,
)
from layerwise.settings.validation import NonNegative, Positive, Settings, nearest, validate

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

# Weights of a run that Newton's dense solve takes at most: the Hessian's side.
NEWTON_WEIGHTS = 1024


class MethodSettings(Settings):
    """An update rule, the network that it trains, and the grids of its step size and damping."""

    name: str
    rule: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_]*\.[A-Za-z][A-Za-z0-9]*$")
    ]  # module.Class in methods/
    network: Literal["plain", "whitened", "bn_input", "bn_hidden"]
    lr: Annotated[list[Positive], BeforeValidator(_as_list)]
    # Empty where the rule has no damping.
    damping: Annotated[list[NonNegative], BeforeValidator(_as_list)]
    takes_damping: bool
    inverts: Literal["nothing", "inputs", "all"]  # what is singular when undamped
    options: dict[str, Any]

    @model_validator(mode="after")
    def _damping_fits(self) -> Self:
        if self.damping and not self.takes_damping:
            raise ValueError(
                f"method.damping = {self.damping} is not allowed: {self.name} has no damping, leave []"
            )
        if self.takes_damping and not self.damping:
            raise ValueError("method.damping = [] is not allowed: at least one value is needed")
        if self.inverts == "all" and 0 in self.damping:
            raise ValueError(
                "method.damping = 0 is not allowed: the Gauss-Newton matrix of a two-layer network is "
                "singular, a positive damping is needed"
            )
        for key in ("lr", "damping"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"method.{key} = {values} is not allowed: values must differ")
        validate(Options, self.options, "method.options")
        return self


class RunSettings(Settings):
    """One cell: a method on a problem, for all its seeds, step sizes and damping values."""

    task: Annotated[
        LinearTask | SingleIndexTask | SpikeTask | SingleIndexTrainingTask,
        Field(discriminator="name"),
    ]
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

    @model_validator(mode="after")
    def _rule_is_there(self) -> Self:
        check_rule(self.method.rule, self.method.options)
        return self

    @model_validator(mode="after")
    def _optimizer_is_allowed(self) -> Self:
        path, packages = self.method.options.get("optimizer"), self.optimizer_packages
        if path is not None and not path.startswith(tuple(f"{name}." for name in packages)):
            raise ValueError(
                f"method.options.optimizer = {path!r} is not allowed: allowed is a class of "
                f"{', '.join(packages)} (the key optimizer_packages lists them)"
                f"{nearest(path.rpartition('.')[0], packages)}"
            )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds} is not allowed: seeds must differ")
        if isinstance(self.task, LinearTask):
            self._linear_parts_fit(self.task, self.method)
        elif isinstance(self.task, SingleIndexTask | SpikeTask):
            self._method_in(SINGLE_INDEX_METHODS)
            if isinstance(self.task, SpikeTask):
                self._has_step_sizes()
        else:
            self._training_parts_fit(self.task, self.method)
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

    def _training_parts_fit(self, task: SingleIndexTrainingTask, method: MethodSettings) -> None:
        self._method_in(SINGLE_INDEX_TRAINING_METHODS)
        self._has_step_sizes()
        n = round(task.d / task.aspect_ratio)
        if task.layers == "both" and 0 in method.damping and n < task.width:
            raise ValueError(
                "method.damping = 0 is not allowed with task.layers = 'both': the second moment of "
                f"task.width = {task.width} features on {n} samples is singular, a positive damping is "
                "needed"
            )

    def _method_in(self, allowed: Sequence[str]) -> None:
        if self.method.name not in allowed:
            raise ValueError(
                f"method = {self.method.name!r} is not allowed with task = {self.task.name!r}: allowed "
                f"are {', '.join(allowed)}"
            )

    def _has_step_sizes(self) -> None:
        if not self.method.lr:
            raise ValueError("method.lr = [] is not allowed: at least one step size is needed")

    def _linear_parts_fit(self, task: LinearTask, method: MethodSettings) -> None:
        self._has_step_sizes()
        if method.inverts == "inputs" and 0 in method.damping and task.batch_size < task.d_x:
            raise ValueError(
                f"task.batch_size = {task.batch_size} is not allowed with method.damping = 0: the "
                f"batch's second moment is singular, at least task.d_x = {task.d_x} samples or a "
                "positive damping are needed"
            )
        size = task.rank * (task.d_x + task.d_y)
        if method.rule == "newton.Newton" and size > NEWTON_WEIGHTS:
            raise ValueError(
                f"task.rank * (task.d_x + task.d_y) = {size} is not allowed with method.rule = "
                f"{method.rule!r}: it solves for all weights at once, at most {NEWTON_WEIGHTS}"
            )
        raw = max(task.batch_size, task.n_transfer)
        if self.engine == "batches" and raw > MAX_RAW_SAMPLES:
            raise ValueError(
                f"engine = 'batches' is not allowed with {raw} samples: it holds them in memory, at most "
                f"{MAX_RAW_SAMPLES}, use engine = moments"
            )
        if self.engine == "moments" and task.inputs != "gaussian":
            raise ValueError(
                f"engine = 'moments' is not allowed with task.inputs = {task.inputs!r}: only Gaussian "
                "inputs have exact moment draws, use engine = batches"
            )


def run_settings(values: dict[str, Any]) -> RunSettings:
    """Validate a plain dictionary. Raises ConfigError with one sentence."""
    return validate(RunSettings, values)
