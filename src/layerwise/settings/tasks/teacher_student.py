"""Settings of a multi-index teacher and its student (beyond the paper), and their card. No torch."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from layerwise.settings.student import Count, StudentTask
from layerwise.settings.task import MAX_DIMENSION, Condition, Link, Noise, Spectrum

Size = Annotated[int, Field(ge=1, le=MAX_DIMENSION)]


class TeacherStudentTask(StudentTask):
    """y = A link(B x) + noise with ``rank`` directions B, and the network that learns it."""

    measures: ClassVar[tuple[str, ...]] = (
        "train_loss",
        "validation_error",
        "test_error",
        "subspace_gap",
        "transfer_error",
        "transfer_error_isotropic",
    )
    selects: ClassVar[tuple[str, ...]] = ("validation_error",)

    name: Literal["teacher_student"]
    d_x: Size
    d_y: Size
    rank: Size  # r, the teacher's directions
    kappa_x: Condition  # condition number of Sigma_x
    spectrum: Spectrum
    basis: Literal["rotated", "axis"]
    # Whether the directions are isotropic in Sigma_x^(-1/2) x, or in x itself.
    directions: Literal["whitened", "raw"]
    link: Link
    noise: Noise  # standard deviation of each output's noise; the noise-free outputs' is one
    n_train: (
        Count | None
    )  # samples in all, from which batches are drawn; None: new ones for each step
    n_validation: Count  # fresh samples of validation_error, by which step sizes are selected
    n_test: Count  # fresh samples of the other metrics
    n_transfer: Count  # labelled samples of the new teacher for its ridge readout
    n_choice: Count  # and those that choose its strength

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.rank > self.d_x:
            raise ValueError(
                f"task.rank = {self.rank} is not allowed: at most task.d_x = {self.d_x}"
            )
        if self.d_x == 1 and self.kappa_x != 1:
            raise ValueError(
                f"task.kappa_x = {self.kappa_x} is not allowed: with task.d_x = 1 it is 1"
            )
        if self.n_train is not None and self.n_train < self.batch_size:
            raise ValueError(
                f"task.n_train = {self.n_train} is not allowed: at least task.batch_size = "
                f"{self.batch_size}, or null for new samples at each step"
            )
        return self

    @property
    def modules(self) -> tuple[str, ...]:
        return f"layerwise.data.spectra.{self.spectrum}", f"layerwise.theory.links.{self.link}"

    @property
    def dimension(self) -> int:
        return self.d_x


Task = TeacherStudentTask
