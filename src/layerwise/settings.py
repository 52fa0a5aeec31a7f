"""Typed settings of a run, and the sentences that refuse bad ones. No torch here.

Every check happens before any work starts: a wrong value is answered with its key, the value and
what is allowed.
"""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

Model = TypeVar("Model", bound=BaseModel)
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class ConfigError(ValueError):
    """A setting that cannot be used; its text is one sentence for the person who wrote it."""


def _as_list(value: Any) -> Any:
    """A single number stands for a list of one."""
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_seeds(value: Any) -> Any:
    """A count n stands for the seeds 0 to n - 1."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("allowed is a count of at least 1, or a list of seeds")
        return list(range(value))
    return value


def _interval(value: int | str) -> int | str:
    if value != "log" and not (isinstance(value, int) and value >= 1):
        raise ValueError("allowed is an interval of at least 1, or log")
    return value


class Settings(BaseModel):
    """Base of all settings: exact types, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class LinearProblem(Settings):
    """What an instance of linear representation learning depends on: y = F* G* x + eps (Sec. 3.1)."""

    name: Literal["linear_representation"]
    d_x: Annotated[int, Field(ge=1)]
    d_y: Annotated[int, Field(ge=1)]
    rank: Annotated[int, Field(ge=1)]  # k, also the width of the network's hidden layer
    kappa_x: Annotated[float, Field(ge=1)]  # condition number of Sigma_x
    kappa_f: Annotated[float, Field(ge=1)]  # condition number of F*
    spectrum: Literal["log", "two_level", "power_law"]
    basis: Literal["rotated", "axis"]
    transfer_kappa_x: Annotated[float, Field(ge=1)] | None  # None: the training task's Sigma_x

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.rank > min(self.d_x, self.d_y):
            raise ValueError(
                f"task.rank = {self.rank} is not allowed: at most min(d_x, d_y) = "
                f"{min(self.d_x, self.d_y)}"
            )
        for key in ("kappa_x", "transfer_kappa_x"):
            if self.d_x == 1 and getattr(self, key) not in (1, None):
                raise ValueError(
                    f"task.{key} = {getattr(self, key)} is not allowed: with task.d_x = 1 it is 1"
                )
        if self.rank == 1 and self.kappa_f != 1:
            raise ValueError(
                f"task.kappa_f = {self.kappa_f} is not allowed: with task.rank = 1 it is 1"
            )
        return self

    def instance(self, seeds: Sequence[int]) -> str:
        """Canonical JSON of what the instances of ``seeds`` depend on: the same for tasks that share
        them."""
        own = {key: getattr(self, key) for key in LinearProblem.model_fields}
        return json.dumps(own | {"seeds": list(seeds)}, sort_keys=True, separators=(",", ":"))


class LinearTask(LinearProblem):
    """A problem with the batches that it is trained on and the samples of its transfer task."""

    inputs: Literal["gaussian", "rademacher"]
    batch_size: Annotated[int, Field(ge=2)]  # n, samples a step
    noise: NonNegative  # sigma, standard deviation of each output's noise
    n_transfer: Annotated[int, Field(ge=2)]  # samples for refitting the head on the transfer task

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        for key in ("batch_size", "n_transfer"):
            if getattr(self, key) <= self.rank:
                raise ValueError(
                    f"task.{key} = {getattr(self, key)} is not allowed: more than task.rank = "
                    f"{self.rank} samples are needed to fit a head"
                )
        return self


class SingleIndexProblem(Settings):
    """Single-index data, y = link(beta*^T x) + eps, and the network that learns it (Section 3.2)."""

    d: Annotated[int, Field(ge=2)]
    aspect_ratio: Positive  # gamma = d/n
    width: Annotated[int, Field(ge=2)]  # d_h
    kappa_x: Annotated[float, Field(ge=1)]  # condition number of Sigma_x
    spectrum: Literal["log", "two_level", "power_law"]
    basis: Literal["rotated", "axis"]
    link: Literal["tanh", "relu", "erf", "linear", "he1_plus_he3"]
    activation: Literal["relu", "tanh", "erf", "linear"]
    noise: NonNegative  # sigma_epsilon
    readout_scale: Positive  # f entries are readout_scale * N(0, 1/d_h)

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        if round(self.d / self.aspect_ratio) < 2:
            raise ValueError(
                f"task.aspect_ratio = {self.aspect_ratio} is not allowed: at most d/2 = "
                f"{self.d / 2:g}, so that there are two samples"
            )
        return self


class SingleIndexTask(SingleIndexProblem):
    """One step on single-index data."""

    name: Literal["single_index"]


class SpikeTask(SingleIndexProblem):
    """The singular values of one step's update, and of the first layer before and after it."""

    name: Literal["spike"]
    count: Annotated[int, Field(ge=1)]  # of the leading singular values


class SingleIndexTrainingTask(SingleIndexProblem):
    """Many steps on single-index data."""

    name: Literal["single_index_training"]
    layers: Literal["first", "both"]  # those that are trained
    samples: Literal["fresh", "fixed"]  # new ones for each step, or the first step's for all


# The methods whose one step on single-index data is simulated.
SINGLE_INDEX_METHODS = (
    "sgd", "kfac", "adam", "spectral", "gauss_newton", "bn_hidden_sgd", "bn_input_sgd", "whitened_sgd",
)  # fmt: skip
# And those that take many.
SINGLE_INDEX_TRAINING_METHODS = (
    "sgd", "adam", "kfac", "bn_hidden_sgd", "bn_hidden_adam", "bn_input_sgd", "bn_input_adam",
    "whitened_sgd",
)  # fmt: skip

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


# Weights of a run that Newton's dense solve takes at most: the Hessian's side.
NEWTON_WEIGHTS = 1024


class MethodSettings(Settings):
    """An update rule, the network that it trains, and the grids of its step size and damping."""

    name: str
    rule: Annotated[str, Field(pattern=r"^[a-z_]+\.[A-Za-z]+$")]  # module.Class in methods/
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
        list[Annotated[int, Field(ge=0)]], Field(min_length=1), BeforeValidator(_as_seeds)
    ]
    steps: Annotated[int, Field(ge=0)]
    stop_at: Positive | None  # end once one variant has reached this distance with every seed
    record_every: Annotated[int | str, AfterValidator(_interval)]
    dtype: Literal["float64", "float32"]
    device: Literal["cpu", "cuda"]
    optimizer_packages: list[str]  # where method.options.optimizer may be imported from

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
        if self.engine == "moments" and task.inputs != "gaussian":
            raise ValueError(
                f"engine = 'moments' is not allowed with task.inputs = {task.inputs!r}: only Gaussian "
                "inputs have exact moment draws, use engine = batches"
            )


def nearest(name: str, allowed: list[str]) -> str:
    """A hint at the nearest allowed name, or nothing."""
    close = get_close_matches(name, allowed, n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def _sentence(error: ValidationError, prefix: str) -> str:
    """The first error as one sentence: key, value, what is allowed."""
    first = error.errors()[0]
    if first["type"] == "value_error" and "= " in str(first["ctx"]["error"]):
        return str(first["ctx"]["error"])  # our own, already a whole sentence
    # Union branches and list positions are pydantic's, not keys of the configuration.
    tasks = ("linear_representation", "single_index", "single_index_training")
    branches = ("int", "float", "literal", "str", *tasks)
    keys = [key for key in first["loc"] if isinstance(key, str) and key not in branches]
    key = ".".join([prefix, *keys] if prefix else keys)
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    allowed = f"allowed is {message}" if not message.startswith("allowed") else message
    hint = ""
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        choices = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        hint = nearest(first["input"], choices)
    if first["type"] == "extra_forbidden":
        allowed = "it is unknown"
    if first["type"] == "missing":
        return f"{key} is missing"
    return f"{key} = {first['input']!r} is not allowed: {allowed}{hint}"


def validate(model: type[Model], values: Any, prefix: str = "") -> Model:
    """Validate values against a model. Raises ConfigError with one sentence about the first error."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(error, prefix)) from None


def run_settings(values: dict[str, Any]) -> RunSettings:
    """Validate a plain dictionary. Raises ConfigError with one sentence."""
    return validate(RunSettings, values)
