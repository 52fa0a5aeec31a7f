"""Settings of linear representation learning, y = F* G* x + eps (Sec. 3.1), and its card. No torch."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from layerwise.settings.task import (
    HESSIAN_WEIGHTS,
    MAX_DIMENSION,
    MAX_RAW_SAMPLES,
    MAX_SAMPLES,
    Condition,
    Noise,
    Offers,
    Spectrum,
    TaskSettings,
)
from layerwise.settings.validation import Settings

if TYPE_CHECKING:
    from layerwise.settings.run import RunSettings

ALL: Offers = frozenset(
    {"gradients", "inputs", "outputs", "refit", "linear", "readout", "gauss_newton", "hessian"}
)


class LinearProblem(Settings):
    """What an instance of linear representation learning depends on."""

    d_x: Annotated[int, Field(ge=1, le=MAX_DIMENSION)]
    d_y: Annotated[int, Field(ge=1, le=MAX_DIMENSION)]
    rank: Annotated[int, Field(ge=1)]  # k, also the width of the network's hidden layer
    kappa_x: Condition  # condition number of Sigma_x
    kappa_f: Condition  # condition number of F*
    spectrum: Spectrum
    basis: Literal["rotated", "axis"]
    transfer_kappa_x: Condition | None  # None: the training task's Sigma_x
    head_scale: Annotated[float, Field(gt=0, le=1e6)]  # F_0 entries are this times N(0, 1/k)

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

    @property
    def modules(self) -> tuple[str, ...]:
        """The file of its spectrum, for the drawing and the run."""
        return (f"layerwise.data.spectra.{self.spectrum}",)

    def instance(self, seeds: Sequence[int]) -> str:
        """As :meth:`layerwise.settings.task.TaskSettings.instance`."""
        own = {key: getattr(self, key) for key in LinearProblem.model_fields}
        return json.dumps(own | {"seeds": list(seeds)}, sort_keys=True, separators=(",", ":"))


class LinearTask(LinearProblem, TaskSettings):
    """A problem with the batches that it is trained on and the samples of its transfer task."""

    networks: ClassVar[Mapping[str, Offers]] = {
        "plain": ALL,
        "whitened": ALL,
        "bn_input": ALL,
        "bn_hidden": frozenset({"gradients", "readout"}),
    }
    measures: ClassVar[tuple[str, ...]] = (
        "train_loss",
        "excess_loss",
        "subspace_distance",
        "transfer_loss",
        "transfer_loss_population",
        "outside_norm",
        "head_sigma_min",
        "floor_theory",
        "distance_theory",
        "contraction_theory",
        "iterations_theory",
    )
    selects: ClassVar[tuple[str, ...]] = (
        "iterations",
        "mean_subspace_distance",
        "mean_train_loss",
        "subspace_distance",
    )
    reads: ClassVar[frozenset[str]] = frozenset({"stop_at"})
    measured_only: ClassVar[frozenset[str]] = frozenset({"transfer_kappa_x", "n_transfer"})
    beside_draws: ClassVar[frozenset[str]] = frozenset({"rank", "kappa_f", "head_scale", "noise"})

    name: Literal["linear_representation"]
    inputs: Literal["gaussian", "rademacher"]
    batch_size: Annotated[int, Field(ge=2, le=MAX_SAMPLES)]  # n, samples a step
    noise: Noise  # sigma, standard deviation of each output's noise
    # Samples for refitting the head on the transfer task.
    n_transfer: Annotated[int, Field(ge=2, le=MAX_SAMPLES)]

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        for key in ("batch_size", "n_transfer"):
            if getattr(self, key) <= self.rank:
                raise ValueError(
                    f"task.{key} = {getattr(self, key)} is not allowed: more than task.rank = "
                    f"{self.rank} samples are needed to fit a head"
                )
        return self

    @property
    def engine(self) -> str:
        return "moments" if self.inputs == "gaussian" else "batches"

    @property
    def dimension(self) -> int:
        return self.d_x

    def check(self, run: "RunSettings") -> None:
        method, needs = run.method, run.method.card.needs
        if "inputs" in needs and 0 in method.damping and self.batch_size < self.d_x:
            raise ValueError(
                f"task.batch_size = {self.batch_size} is not allowed with method.damping = 0: the "
                f"batch's second moment is singular, at least task.d_x = {self.d_x} samples or a "
                "positive damping are needed"
            )
        size = self.rank * (self.d_x + self.d_y)
        if "hessian" in needs and size > HESSIAN_WEIGHTS:
            raise ValueError(
                f"task.rank * (task.d_x + task.d_y) = {size} is not allowed with method.rule = "
                f"{method.rule!r}: it solves for all weights at once, at most {HESSIAN_WEIGHTS}"
            )
        if run.stop_at is not None and "subspace_distance" not in self.metrics:
            raise ValueError(
                f"stop_at = {run.stop_at} is not allowed: task.metrics = {self.metrics} lacks the "
                "subspace_distance that it waits for"
            )
        raw = max(self.batch_size, self.n_transfer)
        if run.engine == "batches" and raw > MAX_RAW_SAMPLES:
            raise ValueError(
                f"engine = 'batches' is not allowed with {raw} samples: it holds them in memory, at most "
                f"{MAX_RAW_SAMPLES}, use engine = moments"
            )
        if run.engine == "moments" and self.inputs != "gaussian":
            raise ValueError(
                f"engine = 'moments' is not allowed with task.inputs = {self.inputs!r}: only Gaussian "
                "inputs have exact moment draws, use engine = batches"
            )


Task = LinearTask
