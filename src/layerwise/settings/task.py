"""Typed settings of the tasks: problems, data, and the networks' sizes. No torch."""

import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from layerwise.settings.validation import Positive, Settings

# Bounds within which double precision resolves a problem; settings.FLOAT32_CONDITION is single's.
Condition = Annotated[float, Field(ge=1, le=1e12)]
Noise = Annotated[float, Field(ge=0, le=1e6)]
# A square matrix of the largest dimension takes 3 GB; moments have any number of samples, raw inputs not.
MAX_DIMENSION = 20_000
MAX_SAMPLES = 10**12
MAX_RAW_SAMPLES = 10**7

# What a linear task's transfer task depends on, and its training does not.
TRANSFER_KEYS = ("transfer_kappa_x", "n_transfer")


class LinearProblem(Settings):
    """What an instance of linear representation learning depends on: y = F* G* x + eps (Sec. 3.1)."""

    name: Literal["linear_representation"]
    d_x: Annotated[int, Field(ge=1, le=MAX_DIMENSION)]
    d_y: Annotated[int, Field(ge=1, le=MAX_DIMENSION)]
    rank: Annotated[int, Field(ge=1)]  # k, also the width of the network's hidden layer
    kappa_x: Condition  # condition number of Sigma_x
    kappa_f: Condition  # condition number of F*
    spectrum: Literal["log", "two_level", "power_law"]
    basis: Literal["rotated", "axis"]
    transfer_kappa_x: Condition | None  # None: the training task's Sigma_x

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


class SingleIndexProblem(Settings):
    """Single-index data, y = link(beta*^T x) + eps, and the network that learns it (Section 3.2)."""

    d: Annotated[int, Field(ge=2, le=MAX_DIMENSION)]
    aspect_ratio: Positive  # gamma = d/n
    width: Annotated[int, Field(ge=2, le=MAX_DIMENSION)]  # d_h
    kappa_x: Condition  # condition number of Sigma_x
    spectrum: Literal["log", "two_level", "power_law"]
    basis: Literal["rotated", "axis"]
    link: Literal["tanh", "relu", "erf", "linear", "he1_plus_he3"]
    activation: Literal["relu", "tanh", "erf", "linear"]
    noise: Noise  # sigma_epsilon
    readout_scale: Annotated[
        float, Field(gt=0, le=1e6)
    ]  # f entries are readout_scale * N(0, 1/d_h)

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        if self.d / self.aspect_ratio > MAX_RAW_SAMPLES:
            raise ValueError(
                f"task.aspect_ratio = {self.aspect_ratio} is not allowed: at least "
                f"d/{MAX_RAW_SAMPLES} = {self.d / MAX_RAW_SAMPLES:g}, so that the samples fit in memory"
            )
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
    count: Annotated[int, Field(ge=1, le=MAX_DIMENSION)]  # of the leading singular values


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
    "whitened_sgd", "spectral", "shampoo", "soap", "muon",
)  # fmt: skip
