"""Alignment of other methods' first step on single-index data, beside Theorem 3.9's SGD and KFAC.

The setting is that of ``alignment``: labels of mean zero, y = c beta^T x + rest, a small readout, a
first layer of ReLU units with random gates; b = X^T y / n has, along an eigenvector of Sigma with
eigenvalue lambda, signal c lambda beta and noise of variance gamma lambda e^2 / d, where
e^2 = E y^2 = c^2 m1 + tau^2 and beta ~ N(0, I/d). docs/theory.md derives what is here.

Not here, since they follow SGD's formula: batch-norm after the first layer, batch-norm of inputs whose
covariance is rotated, and spectral descent.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerwise.theory.linear_part import linear_part
from layerwise.theory.links import Link

Array = NDArray[np.float64]

BASES = ("axis", "rotated")


class _Labels(NamedTuple):
    slope: float  # c
    power: float  # e^2


def adam_alignment(
    spectrum: ArrayLike,
    aspect_ratio: float,  # gamma = d/n
    link: str | Link,
    noise: float,  # sigma_epsilon
    basis: str = "axis",
    width: float = math.inf,  # d_h
) -> float:
    """Cosine with beta of what Adam's first step, the sign of the gradient, learns through the readout.

    A unit's gradient is f_j (b + g_j) / 2, where g_j, from the unit's gates, has mean zero and
    variance s^2 = gamma lambda e^2 (all in units of 1/d), as the noise in b has: it dithers the sign.
    Averaged over units sign(b + g_j) is erf(b / (s sqrt 2)), so that with v = c^2 lambda^2 + s^2

        cos = mean[c lambda sqrt(2/pi) / sqrt(s^2 + v)] / sqrt(mean[(2/pi) asin(v / (v + s^2))])

    over the eigenvalues where Sigma is diagonal (``basis`` "axis"); where it is rotated at random all
    coordinates have the means over the eigenvalues of v, s^2 and c lambda. A finite ``width`` adds to the
    second moment q of a coordinate what is left of the dither, (1 - q) pi / (2 width).

    Raises ValueError for an unknown basis or link, an empty or non-positive spectrum, and an aspect
    ratio or noise that is impossible.
    """
    eigenvalues, labels = _setting(spectrum, aspect_ratio, link, noise)
    if basis not in BASES:
        raise ValueError(f"basis = {basis!r} is unknown: allowed are {', '.join(BASES)}")
    signal = labels.slope * eigenvalues
    dither = aspect_ratio * labels.power * eigenvalues  # s^2
    variance = signal**2 + dither  # v
    if basis == "rotated":
        signal, dither, variance = (np.mean(x, keepdims=True) for x in (signal, dither, variance))
    overlap = np.mean(signal * math.sqrt(2 / math.pi) / np.sqrt(dither + variance))
    second = np.mean(2 / math.pi * np.arcsin(variance / (variance + dither)))
    second += (1 - second) * math.pi / (2 * width)
    return float(overlap / np.sqrt(second))


def true_whitening_alignment(
    spectrum: ArrayLike, aspect_ratio: float, link: str | Link, noise: float
) -> float:
    """Cosine with beta of Sigma^-1 X^T y / n, with the population's Sigma and not the batch's.

    c / sqrt(c^2 + gamma e^2 mean(1/lambda)): the bias is gone, and the batch's sampling noise is
    magnified by 1/lambda, which the batch's own covariance would have cancelled. It is also what
    batch-norm of the inputs does where Sigma is diagonal. Errors are those of :func:`adam_alignment`.
    """
    eigenvalues, labels = _setting(spectrum, aspect_ratio, link, noise)
    magnified = aspect_ratio * labels.power * np.mean(1 / eigenvalues)
    return float(labels.slope / np.sqrt(labels.slope**2 + magnified))


def _setting(
    spectrum: ArrayLike, aspect_ratio: float, link: str | Link, noise: float
) -> tuple[Array, _Labels]:
    """The checked eigenvalues, and the labels' slope and power."""
    eigenvalues = np.asarray(spectrum, dtype=float)
    if eigenvalues.ndim != 1 or eigenvalues.size == 0 or not (eigenvalues > 0).all():
        raise ValueError("spectrum must be a list of positive eigenvalues")
    if not (0 < aspect_ratio < math.inf and 0 <= noise < math.inf):
        raise ValueError(f"aspect_ratio = {aspect_ratio} or noise = {noise} is impossible")
    mean = float(eigenvalues.mean())
    part = linear_part(link, mean)
    return eigenvalues, _Labels(part.slope, part.slope**2 * mean + part.rest + noise**2)
