"""Single-index data (arXiv 2502.01763, Section 3.2): ground truths, samples, and the batches of a run.

Labels y = link(beta^T x) + noise, inputs x ~ N(0, Sigma_x) with tr Sigma_x = d, beta ~ N(0, I/d);
the network is f(x) = f^T sigma(G x) with G_0 entries N(0, 1/d). The readout f has entries
readout_scale * N(0, 1/width). The mean-field scale, under which the theory holds, is readout_scale =
1/sqrt(width): then f_0(x) is small beside y. At order one the step follows y - f_0(x), and aligns less.
Samples are drawn in the eigenbasis of Sigma_x, where that costs no matrix product.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from layerwise.data.covariance import eigenbasis, spectrum
from layerwise.data.streams import generator
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.theory.links import named


class Sample(NamedTuple):
    """inputs (n, d), the noise-free target (n,), and labels (n,), the target plus noise."""

    inputs: Tensor
    clean: Tensor
    labels: Tensor


class Batch:
    """Samples of S seeds, drawn when they are first looked at: those after the last step may never be."""

    def __init__(self, draw: Callable[[], tuple[Tensor, Tensor]]) -> None:
        self._draw = draw

    @cached_property
    def drawn(self) -> tuple[Tensor, Tensor]:
        """x and y."""
        return self._draw()

    @property
    def x(self) -> Tensor:
        """(S, n, d), in the original coordinates."""
        return self.drawn[0]

    @property
    def y(self) -> Tensor:
        """Labels (S, n)."""
        return self.drawn[1]


class Instance(NamedTuple):
    """One seed's ground truth and initial weights.

    eigenvalues (d,) and eigenvectors (d, d, as columns) of Sigma_x, None for the axes; direction
    beta (d,); features G_0 (width, d); readout f (width,).
    """

    eigenvalues: Tensor
    eigenvectors: Tensor | None
    direction: Tensor
    features: Tensor
    readout: Tensor

    def to_eigenbasis(self, rows: Tensor) -> Tensor:
        """rows V, shape (..., d)."""
        return rows if self.eigenvectors is None else rows @ self.eigenvectors

    def from_eigenbasis(self, rows: Tensor) -> Tensor:
        """rows V^T, shape (..., d)."""
        return rows if self.eigenvectors is None else rows @ self.eigenvectors.mT

    def times_covariance_power(self, rows: Tensor, power: float) -> Tensor:
        """rows Sigma_x^power, shape (..., d)."""
        return self.from_eigenbasis(self.to_eigenbasis(rows) * self.eigenvalues**power)


def draw_instance(
    task: SingleIndexTask,
    seed: int,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> Instance:
    """One seed's instance. The scale of the readout changes nothing else of it."""
    d, width = task.d, task.width
    vectors = None
    if task.basis == "rotated":
        vectors = eigenbasis(task.basis, d, generator("eigenbasis", seed))
    direction = generator("index direction", seed).standard_normal(d) / math.sqrt(d)
    features = generator("index features", seed).standard_normal((width, d)) / math.sqrt(d)
    readout = generator("index readout", seed).standard_normal(width) / math.sqrt(width)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)

    return Instance(
        tensor(spectrum(task.spectrum, d, task.kappa_x)),
        None if vectors is None else tensor(vectors),
        tensor(direction),
        tensor(features),
        tensor(task.readout_scale * readout),
    )


def draw_sample(
    task: SingleIndexTask, instance: Instance, purpose: str, n: int, seed: int
) -> Sample:
    """n samples of the stream ``purpose``, their inputs in the eigenbasis of Sigma_x.

    Fewer samples of a stream are the first of more.
    """
    return next_sample(task, instance, n, *sample_streams(purpose, seed))


def sample_streams(purpose: str, seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """The streams of a sample's inputs and of its noise."""
    return generator(f"index inputs, {purpose}", seed), generator(f"index noise, {purpose}", seed)


def next_sample(
    task: SingleIndexTask,
    instance: Instance,
    n: int,
    inputs_stream: np.random.Generator,
    noise_stream: np.random.Generator,
) -> Sample:
    """The next n samples of two streams, their inputs in the eigenbasis of Sigma_x."""
    normal = inputs_stream.standard_normal((n, task.d))
    noise = noise_stream.standard_normal(n)
    inputs = torch.as_tensor(normal).to(instance.eigenvalues).mul_(instance.eigenvalues.sqrt())
    index = inputs @ instance.to_eigenbasis(instance.direction)
    clean = torch.as_tensor(named(task.link)(index.cpu().numpy())).to(inputs)
    return Sample(inputs, clean, clean + task.noise * torch.as_tensor(noise).to(inputs))


def draw_fresh(task: SingleIndexTask, instance: Instance, seed: int) -> list[Sample]:
    """Fresh samples for the refit of the readout; for the choice of its ridge strength and the
    validation, in one; and for the test."""
    sizes = (task.n, task.n_choice + task.n_validation, task.n_test)
    return [
        draw_sample(task, instance, purpose, n, seed)
        for purpose, n in zip(("refit", "validation", "test"), sizes, strict=True)
    ]


class Batches:
    """n samples of every seed for each step: fresh ones, or the first step's again and again."""

    def __init__(
        self, task: SingleIndexTask, instances: Sequence[Instance], seeds: Sequence[int]
    ) -> None:
        self._task, self._instances = task, instances
        self._streams = [sample_streams("step", seed) for seed in seeds]
        self.first = Batch(self._draw)
        self._given: Batch | None = None

    def next(self) -> Batch:
        """The next step's batch: the first one at first."""
        if self._given is None:
            self._given = self.first
        elif self._task.samples == "fresh":
            self._given.drawn  # noqa: B018 - streams go on in order, whether or not it was looked at
            self._given = Batch(self._draw)
        return self._given

    def _draw(self) -> tuple[Tensor, Tensor]:
        drawn = [
            next_sample(self._task, instance, self._task.n, *streams)
            for instance, streams in zip(self._instances, self._streams, strict=True)
        ]
        x = [
            instance.from_eigenbasis(sample.inputs)
            for instance, sample in zip(self._instances, drawn, strict=True)
        ]
        return torch.stack(x), torch.stack([sample.labels for sample in drawn])
