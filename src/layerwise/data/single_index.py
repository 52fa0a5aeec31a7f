"""Single-index data and the network that takes one step on it (arXiv 2502.01763, Section 3.2).

Labels y = link(beta^T x) + noise, inputs x ~ N(0, Sigma_x) with tr Sigma_x = d, beta ~ N(0, I/d);
the network is f(x) = f^T sigma(G x) with G_0 entries N(0, 1/d). Samples are kept in the eigenbasis
of Sigma_x, where drawing them costs no matrix product.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from layerwise.data.covariance import SPECTRA, eigenbasis, spectrum
from layerwise.data.streams import generator
from layerwise.metrics.ridge import (
    ACTIVATIONS,
    Activation,
    Sample,
    SecondMoment,
    second_moment,
    standardise,
)
from layerwise.networks.linear import BN_EPSILON
from layerwise.settings.validation import nearest
from layerwise.theory.links import LINKS, named


@dataclass(frozen=True)
class OneStepProblem:
    """Sizes and laws of one problem. Raises ValueError, with one sentence, for impossible values.

    The readout f has entries readout_scale * N(0, 1/width). The mean-field scale, under which the
    theory holds, is readout_scale = 1/sqrt(width): then f_0(x) is small beside y. At order one the
    step follows y - f_0(x), and aligns less.
    """

    d: int
    aspect_ratio: float  # gamma = d/n
    width: int  # d_h
    kappa_x: float  # condition number of Sigma_x
    spectrum: str  # a name of covariance.SPECTRA
    basis: str  # rotated or axis
    link: str  # a name of links.LINKS
    activation: str  # a name of ACTIVATIONS
    noise: float  # sigma_epsilon
    readout_scale: float
    n_ridge: int | None = None  # fresh samples that the readout is refitted on; None: n
    n_validation: int = 2000  # fresh samples that choose the ridge strength
    n_test: int = 5000

    def __post_init__(self) -> None:
        known("spectrum", self.spectrum, SPECTRA)
        known("basis", self.basis, ("rotated", "axis"))
        known("link", self.link, LINKS)
        known("activation", self.activation, ACTIVATIONS)
        for name in ("d", "width", "n_validation", "n_test"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("aspect_ratio", "readout_scale"):
            value = getattr(self, name)
            _require(0 < value < math.inf, name, value, "positive and finite")
        _require(0 <= self.noise < math.inf, "noise", self.noise, "finite and at least 0")
        _require(1 <= self.kappa_x < math.inf, "kappa_x", self.kappa_x, "finite and at least 1")
        _require(self.n >= 2, "aspect_ratio", self.aspect_ratio, "at most d/2, for two samples")
        _require(self.refit_samples >= 2, "n_ridge", self.n_ridge, "at least 2")
        spectrum(self.spectrum, self.d, self.kappa_x)  # refuses what it cannot make

    @property
    def n(self) -> int:
        """Samples of the step: d / aspect_ratio, rounded."""
        return round(self.d / self.aspect_ratio)

    @property
    def refit_samples(self) -> int:
        """Samples of the refitted readout."""
        return self.n if self.n_ridge is None else self.n_ridge


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

    def power(self, rows: Tensor) -> Tensor:
        """E|rows x|^2 = tr(rows Sigma_x rows^T)."""
        return (self.to_eigenbasis(rows).square() * self.eigenvalues).sum()


def draw_instance(
    problem: OneStepProblem,
    seed: int,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> Instance:
    """One seed's instance. The scale of the readout changes nothing else of it."""
    d, width = problem.d, problem.width
    vectors = None
    if problem.basis == "rotated":
        vectors = eigenbasis(problem.basis, d, generator("eigenbasis", seed))
    direction = generator("index direction", seed).standard_normal(d) / math.sqrt(d)
    features = generator("index features", seed).standard_normal((width, d)) / math.sqrt(d)
    readout = generator("index readout", seed).standard_normal(width) / math.sqrt(width)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)

    return Instance(
        tensor(spectrum(problem.spectrum, d, problem.kappa_x)),
        None if vectors is None else tensor(vectors),
        tensor(direction),
        tensor(features),
        tensor(problem.readout_scale * readout),
    )


def draw_sample(
    problem: OneStepProblem, instance: Instance, purpose: str, n: int, seed: int
) -> Sample:
    """n samples of the stream ``purpose``, their inputs in the eigenbasis of Sigma_x.

    Fewer samples of a stream are the first of more.
    """
    return next_sample(problem, instance, n, *sample_streams(purpose, seed))


def sample_streams(purpose: str, seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """The streams of a sample's inputs and of its noise."""
    return generator(f"index inputs, {purpose}", seed), generator(f"index noise, {purpose}", seed)


def next_sample(
    problem: OneStepProblem,
    instance: Instance,
    n: int,
    inputs_stream: np.random.Generator,
    noise_stream: np.random.Generator,
) -> Sample:
    """The next n samples of two streams, their inputs in the eigenbasis of Sigma_x."""
    normal = inputs_stream.standard_normal((n, problem.d))
    noise = noise_stream.standard_normal(n)
    inputs = torch.as_tensor(normal).to(instance.eigenvalues).mul_(instance.eigenvalues.sqrt())
    index = inputs @ instance.to_eigenbasis(instance.direction)
    clean = torch.as_tensor(named(problem.link)(index.cpu().numpy())).to(inputs)
    return Sample(inputs, clean, clean + problem.noise * torch.as_tensor(noise).to(inputs))


def draw_fresh(problem: OneStepProblem, instance: Instance, seed: int) -> list[Sample]:
    """Fresh samples for the refit of the readout, the choice of its ridge strength, and the test."""
    sizes = (problem.refit_samples, problem.n_validation, problem.n_test)
    return [
        draw_sample(problem, instance, purpose, n, seed)
        for purpose, n in zip(("refit", "validation", "test"), sizes, strict=True)
    ]


class Inputs(NamedTuple):
    """x -> T (x - shift) with symmetric T; ``transform`` multiplies rows by T. None: as it is."""

    shift: Tensor | None
    transform: Callable[[Tensor], Tensor]


def raw_inputs(x: Tensor, instance: Instance) -> Inputs:
    """x itself."""
    return Inputs(None, lambda rows: rows)


def standardised_inputs(x: Tensor, instance: Instance) -> Inputs:
    """Batch-norm on the inputs: each coordinate standardised by the batch's statistics."""
    variance, mean = torch.var_mean(x, dim=0, correction=0)
    scale = (variance + BN_EPSILON).rsqrt()
    return Inputs(mean, lambda rows: rows * scale)


def whitened_inputs(x: Tensor, instance: Instance) -> Inputs:
    """Sigma_x^(-1/2) x with the population's Sigma_x, an oracle."""
    return Inputs(None, lambda rows: instance.times_covariance_power(rows, -0.5))


@dataclass(frozen=True)
class Start:
    """A batch as it reaches the first layer, and the weights: x (n, d), y (n,), G, f (width,)."""

    x: Tensor
    y: Tensor
    features: Tensor
    readout: Tensor
    activation: Activation

    def residual_and_slopes(self) -> tuple[Tensor, Tensor]:
        """y - f(x), shape (n,), and df(x_i)/d(G x_i) = f * sigma'(G x_i), shape (n, width)."""
        hidden = self.x @ self.features.mT
        residual = self.y - self.activation.value(hidden) @ self.readout
        return residual, self.activation.slope(hidden) * self.readout

    @cached_property
    def descent(self) -> Tensor:
        """Minus the gradient of 0.5 mean (y - f(x))^2 by G, shape (width, d)."""
        residual, slopes = self.residual_and_slopes()
        return (slopes * residual[:, None]).mT @ self.x / len(self.y)

    def normalised_descent(self) -> Tensor:
        """The descent of f^T sigma(a), with a = G x standardised by the batch's statistics."""
        a, scale = standardise(self.x @ self.features.mT)
        residual = self.y - self.activation.value(a) @ self.readout
        descent = self.activation.slope(a) * self.readout * residual[:, None]
        along = (descent * a).mean(dim=0)  # the path through the variance
        descent = (descent - descent.mean(dim=0) - a * along) * scale
        return descent.mT @ self.x / len(self.y)

    @cached_property
    def label_direction(self) -> Tensor:
        """X^T y / n, shape (d,)."""
        return self.y @ self.x / len(self.y)

    @cached_property
    def second_moment(self) -> SecondMoment:
        """X^T X / n, decomposed once for all damping values."""
        return second_moment(self.x)

    @cached_property
    def rotated_descent(self) -> Tensor:
        """The descent in the eigenbasis of the second moment, shape (width, rank)."""
        return self.descent @ self.second_moment.vectors


def known(key: str, name: str, allowed: Iterable[str]) -> None:
    """Raise ValueError for a name that is not allowed, with the nearest one that is."""
    names = list(allowed)
    if name not in names:
        hint = nearest(name, names)
        raise ValueError(f"{key} = {name!r} is unknown: allowed are {', '.join(names)}{hint}")


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ValueError(f"{name} = {value} is impossible: it must be {rule}")
