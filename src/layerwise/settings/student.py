"""Settings of the student, a network of any depth with biases, that tasks share. No torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from layerwise.settings.task import MAX_RAW_SAMPLES, Offers, TaskSettings
from layerwise.settings.validation import NonNegative

if TYPE_CHECKING:
    from layerwise.settings.run import RunSettings

FULL: Offers = frozenset({"gradients", "inputs", "outputs", "readout"})
Count = Annotated[int, Field(ge=2, le=MAX_RAW_SAMPLES)]
MAX_WIDTH = 4096
MAX_DEPTH = 16


class StudentTask(TaskSettings):
    """f(x) = W_L [a; 1] with a = sigma(W_l [a; 1]) in each of ``depth`` hidden layers."""

    networks: ClassVar[Mapping[str, Offers]] = {
        "plain": FULL,
        "whitened": FULL,
        "bn_input": FULL,
        "bn_hidden": frozenset({"gradients", "readout"}),
    }

    depth: Annotated[int, Field(ge=1, le=MAX_DEPTH)]  # hidden layers
    width: Annotated[int, Field(ge=1, le=MAX_WIDTH)]  # of each of them
    activation: Literal["relu", "tanh", "erf", "linear"]
    batch_size: Count  # samples a step
    # Damping of P_l, the factor of a hidden layer's outputs, in units of its mean diagonal entry.
    output_damping: NonNegative

    @property
    def engine(self) -> str:
        return "batches"

    @property
    def raw_samples(self) -> tuple[int, int]:
        return self.batch_size, self.width * self.depth

    def check(self, run: "RunSettings") -> None:
        if run.engine != "batches":
            raise ValueError(
                f"engine = {run.engine!r} is not allowed with task = {self.name!r}: its network is not "
                "linear, so that it needs raw batches, use engine = batches"
            )
        method = run.method
        if "inputs" in method.card.needs and 0 in method.damping:
            raise ValueError(
                f"method.damping = 0 is not allowed with task = {self.name!r}: the second moment of a "
                "layer with a dead unit is singular, a positive damping is needed"
            )
