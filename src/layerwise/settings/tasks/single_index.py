"""Settings of single-index learning, y = link(beta*^T x) + eps (Section 3.2), and its card. No torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from layerwise.settings.task import (
    HESSIAN_WEIGHTS,
    MAX_DIMENSION,
    MAX_RAW_SAMPLES,
    Condition,
    Link,
    Noise,
    Offers,
    Spectrum,
    TaskSettings,
)
from layerwise.settings.validation import Positive

if TYPE_CHECKING:
    from layerwise.settings.run import RunSettings

# P_G = f f^T has rank one, so that no rule can divide by it: "outputs" is not offered.
PLAIN: Offers = frozenset({"gradients", "inputs", "readout", "gauss_newton", "hessian"})
# Samples that the Gauss-Newton step solves for at once: its matrix then takes 128 MiB.
GAUSS_NEWTON_SAMPLES = 4096
Count = Annotated[int, Field(ge=2, le=MAX_RAW_SAMPLES)]


class SingleIndexTask(TaskSettings):
    """Data, the network f(x) = f^T sigma(G x) that learns it, and the samples that it is measured on."""

    networks: ClassVar[Mapping[str, Offers]] = {
        "plain": PLAIN,
        "whitened": PLAIN,
        "bn_input": PLAIN,
        "bn_hidden": frozenset({"gradients", "readout"}),
    }
    measures: ClassVar[tuple[str, ...]] = (
        "train_loss",
        "alignment",
        "alignment_readout",
        "alignment_direction",
        "alignment_theory",
        "validation_error",
        "test_error",
        "network_error",
        "test_error_linear",
        "test_error_ridge",
        "test_error_oracle",
        "noise_floor",
        "spike_ratio",
        "cosine_biased",
        "cosine_bias",
        "singular_values",
    )
    selects: ClassVar[tuple[str, ...]] = ("validation_error",)
    samples_key: ClassVar[str] = "aspect_ratio"

    name: Literal["single_index"]
    d: Annotated[int, Field(ge=2, le=MAX_DIMENSION)]
    aspect_ratio: Positive  # gamma = d/n, n samples a step
    width: Annotated[int, Field(ge=2, le=MAX_DIMENSION)]  # d_h
    kappa_x: Condition  # condition number of Sigma_x
    spectrum: Spectrum
    basis: Literal["rotated", "axis"]
    link: Link
    activation: Literal["relu", "tanh", "erf", "linear"]
    noise: Noise  # sigma_epsilon
    # f entries are readout_scale * N(0, 1/d_h).
    readout_scale: Annotated[float, Field(gt=0, le=1e6)]
    layers: Literal["first", "both"]  # those that are trained
    samples: Literal["fresh", "fixed"]  # new ones for each step, or the first step's for all
    # A step size's unit: natural ones of each layer, or the size of the preactivations at the step.
    lr_unit: Literal["natural", "preactivations"]
    # A damping's unit: the mean eigenvalue of what is inverted, or gamma tau^2 / c^2.
    damping_unit: Literal["mean", "optimal"]
    n_choice: Count  # fresh samples that choose the ridge strength of the refitted readout
    n_validation: Count  # fresh samples of validation_error
    n_test: Count

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        if self.d / self.aspect_ratio > MAX_RAW_SAMPLES:
            raise ValueError(
                f"task.aspect_ratio = {self.aspect_ratio} is not allowed: at least "
                f"d/{MAX_RAW_SAMPLES} = {self.d / MAX_RAW_SAMPLES:g}, so that the samples fit in memory"
            )
        if self.n < 2:
            raise ValueError(
                f"task.aspect_ratio = {self.aspect_ratio} is not allowed: at most d/2 = "
                f"{self.d / 2:g}, so that there are two samples"
            )
        if self.lr_unit == "preactivations" and self.layers == "both":
            raise ValueError(
                "task.lr_unit = 'preactivations' is not allowed with task.layers = 'both': it is a unit "
                "of the first layer's steps, use natural"
            )
        return self

    @property
    def modules(self) -> tuple[str, ...]:
        return f"layerwise.data.spectra.{self.spectrum}", f"layerwise.theory.links.{self.link}"

    def offers(self, network: str) -> Offers:
        """Without a readout where the first layer alone is trained."""
        offers = self.networks[network]
        return offers if self.layers == "both" else offers - {"readout"}

    @property
    def n(self) -> int:
        """Samples of a step: d / gamma, rounded."""
        return round(self.d / self.aspect_ratio)

    @property
    def engine(self) -> str:
        return "batches"

    @property
    def dimension(self) -> int:
        return self.d

    @property
    def raw_samples(self) -> tuple[int, int]:
        return self.n, self.width

    def check(self, run: "RunSettings") -> None:
        method, needs = run.method, run.method.card.needs
        if run.engine != "batches":
            raise ValueError(
                f"engine = {run.engine!r} is not allowed with task = {self.name!r}: its network is not "
                "linear, so that it needs raw batches, use engine = batches"
            )
        both = self.layers == "both"
        if "inputs" in needs and both and 0 in method.damping and self.n < self.width:
            raise ValueError(
                "method.damping = 0 is not allowed with task.layers = 'both': the second moment of "
                f"task.width = {self.width} features on {self.n} samples is singular, a positive damping "
                "is needed"
            )
        if "gauss_newton" in needs and self.n > GAUSS_NEWTON_SAMPLES:
            raise ValueError(
                f"task.aspect_ratio = {self.aspect_ratio} is not allowed with method.rule = "
                f"{method.rule!r}: it makes {self.n} samples, at most {GAUSS_NEWTON_SAMPLES}"
            )
        size = self.width * (self.d + both)
        if "hessian" in needs and size > HESSIAN_WEIGHTS:
            raise ValueError(
                f"task.width * task.d = {size} is not allowed with method.rule = {method.rule!r}: it "
                f"solves for all weights at once, at most {HESSIAN_WEIGHTS}"
            )


Task = SingleIndexTask
