"""Settings of labelings of handwritten digits (beyond the paper), and their card. No torch."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from layerwise.settings.student import Count, StudentTask
from layerwise.settings.task import Condition, Spectrum

if TYPE_CHECKING:
    from layerwise.settings.run import RunSettings

# Of scikit-learn's bundled copy: 8 x 8 pixels, of which 0, 32 and 39 are the same in all images.
IMAGES, PIXELS, CLASSES = 1797, 64, 10
# Ways to call five of ten classes +1, up to the sign of all.
LABELINGS = 126
# Directions of the images' space that vary in every training sample.
MAX_COMPONENTS = 50


class DigitsTask(StudentTask):
    """Images, some random balanced +-1 labelings of their classes, and the network that learns these."""

    measures: ClassVar[tuple[str, ...]] = (
        "train_loss",
        "validation_error",
        "test_error",
        "transfer_error",
        "transfer_error_inputs",
    )
    selects: ClassVar[tuple[str, ...]] = ("validation_error",)

    name: Literal["digits"]
    # Pixels, centred and divided by one number; by each one's own deviation; or their leading principal
    # components, whitened and mixed anew with a spectrum.
    inputs: Literal["pixels", "standardised", "mixed"]
    components: Annotated[int, Field(ge=2, le=MAX_COMPONENTS)] | None  # of mixed inputs
    kappa_x: Condition  # condition number of mixed inputs
    spectrum: Spectrum
    basis: Literal["rotated", "axis"]
    labelings: Annotated[int, Field(ge=1, le=LABELINGS)]  # outputs of the network
    n_train: Count  # images that it is trained on, batches of which are drawn
    n_validation: Count  # others, of validation_error, by which step sizes are selected
    shots: Annotated[int, Field(ge=1)]  # of each class, of a ridge readout for the ten classes
    n_choice: Count  # images that choose its strength; the rest are the test's

    @model_validator(mode="after")
    def _images_suffice(self) -> Self:
        if self.n_test < CLASSES:
            raise ValueError(
                f"task.n_train = {self.n_train} is not allowed: with task.n_validation = "
                f"{self.n_validation}, task.shots = {self.shots} and task.n_choice = {self.n_choice} there "
                f"are {self.n_test} of {IMAGES} images left for the test"
            )
        if self.n_train < self.batch_size:
            raise ValueError(
                f"task.n_train = {self.n_train} is not allowed: at least task.batch_size = "
                f"{self.batch_size}"
            )
        mixed = {"components": None, "kappa_x": 1, "spectrum": "log", "basis": "rotated"}
        for key, idle in mixed.items():
            value = getattr(self, key)
            if self.inputs != "mixed" and value != idle:
                raise ValueError(
                    f"task.{key} = {value!r} is not allowed with task.inputs = {self.inputs!r}: it is of "
                    f"mixed inputs, leave {idle if idle is not None else 'null'}"
                )
        if self.inputs == "mixed" and self.components is None:
            raise ValueError(
                "task.components = None is not allowed with task.inputs = 'mixed': allowed is a number "
                f"from 2 to {MAX_COMPONENTS}"
            )
        return self

    @property
    def n_test(self) -> int:
        """Images that are left for the test."""
        return IMAGES - self.n_train - self.n_validation - CLASSES * self.shots - self.n_choice

    @property
    def modules(self) -> tuple[str, ...]:
        return (f"layerwise.data.spectra.{self.spectrum}",)

    @property
    def dimension(self) -> int:
        return PIXELS if self.components is None else self.components

    def check(self, run: "RunSettings") -> None:
        super().check(run)
        if find_spec("sklearn") is None:
            raise ValueError(
                "task = 'digits' is not allowed here: its images are those of scikit-learn, which is not "
                "installed (pip install scikit-learn)"
            )


Task = DigitsTask
