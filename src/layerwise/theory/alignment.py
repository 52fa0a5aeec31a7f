"""Alignment of one step's direction with the true one (arXiv 2502.01763, Section 3.2, Theorem 3.9).

Labels y = link(beta^T x) + noise, with x ~ N(0, Sigma) and beta ~ N(0, I/d); n samples, n and d
large, gamma = d/n. The first step on the first layer is a spike along X^T y / n for SGD and along
(Sigma_hat + lambda I)^-1 X^T y / n for KFAC. Write link(u) = c u + a rest uncorrelated with u,
tau^2 the second moment of rest plus noise, m for the limit of tr (Sigma_hat + lambda I)^-1 / d and
m' = -dm/dlambda. Then the cosine with beta tends to

    SGD   c m1 / sqrt(c^2 m2 + gamma m1 (c^2 m1 + tau^2)),   m1, m2 = tr Sigma / d, tr Sigma^2 / d
    KFAC  c (1 - lambda m) / sqrt(c^2 (1 - 2 lambda m + lambda^2 m') + tau^2 gamma (m - lambda m'))

In m and m' the second cancels without limit as lambda goes to 0 or infinity. With the effective
ridge kappa, rho = lambda / kappa, A_j = mean (s / (s + kappa))^j, D = mean s / (s + kappa)^2, and
dkappa/dlambda = 1 / (1 - gamma A_2) = 1 / (rho + gamma kappa D) from the fixed point,

    1 - lambda m                  = A_1
    m - lambda m'                 = D / (rho + gamma kappa D)
    1 - 2 lambda m + lambda^2 m'  = A_2 + gamma (kappa D)^2 / (rho + gamma kappa D)

where every term is positive, and which hold at lambda = 0 on either side of gamma = 1.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerwise.theory.fixed_point import effective_ridge
from layerwise.theory.linear_part import linear_part
from layerwise.theory.links import Link

Array = NDArray[np.float64]

METHODS = ("sgd", "kfac")


class OptimalDamping(NamedTuple):
    """The damping with the best alignment, and that alignment."""

    damping: float | Array  # in units of the spectrum
    alignment: float | Array


class _Problem(NamedTuple):
    """A checked problem in units of the mean eigenvalue."""

    mean: float  # m1
    spectrum: Array  # over m1
    aspect_ratio: Array
    sign: float  # of c
    noise_ratio: float  # tau^2 / (c^2 m1)


def predicted_alignment(
    method: str,
    spectrum: ArrayLike,
    aspect_ratio: ArrayLike,  # gamma = d/n
    link: str | Link,
    noise: float,  # sigma_epsilon
    damping: ArrayLike = 0.0,  # lambda_G, KFAC only
) -> float | Array:
    """Limiting cosine of the learned direction with the true one (Theorem 3.9).

    ``spectrum`` (d,) holds the eigenvalues of Sigma, on any scale; ``damping`` is in their units
    and broadcasts with ``aspect_ratio``, to the shape of the result (a float if both are scalars).
    ``link`` is a name of ``links.NAMES`` or a vectorised callable. The result lies in [-1, 1] and
    has the sign of E[link(u) u]. Damping 0 is the limit from above, for gamma > 1 the minimum-norm
    solution; at gamma = 1 it is 0, or 1 without any noise or rest.

    Raises ValueError for an unknown method or link, an empty or non-positive spectrum, aspect
    ratios that are not positive, negative damping or noise, damping with SGD, shapes that do not
    broadcast, and a link that has no linear part.
    """
    if method not in METHODS:
        raise ValueError(f"method = {method!r} is unknown: allowed are {', '.join(METHODS)}")
    damping = np.asarray(damping, dtype=float)
    _require(damping >= 0, "damping", damping, "finite and at least 0")
    if method == "sgd":
        _require(damping == 0, "damping", damping, "0 for sgd, which has none")
    problem = _checked(spectrum, aspect_ratio, link, noise)
    try:
        gamma, damping = np.broadcast_arrays(problem.aspect_ratio, damping / problem.mean)
    except ValueError:
        raise ValueError(
            f"damping of shape {damping.shape} does not broadcast with aspect_ratio "
            f"of shape {problem.aspect_ratio.shape}"
        ) from None
    cosine = _sgd(problem, gamma) if method == "sgd" else _kfac(problem, gamma, damping)
    return _plain(problem.sign * cosine)


def optimal_damping(
    spectrum: ArrayLike, aspect_ratio: ArrayLike, link: str | Link, noise: float
) -> OptimalDamping:
    """The damping that maximises KFAC's alignment in absolute value, for each aspect ratio.

    It is gamma tau^2 / c^2 exactly, and depends on the spectrum by way of its mean alone. For
    y = c beta^T x + an uncorrelated rest of variance tau^2, KFAC's direction is the ridge
    estimator; at this damping it is the best linear estimator of beta ~ N(0, I/d), and the least
    error over all multiples of an estimator is 1 - cosine^2. There cosine^2 = 1 - lambda m. It is
    0 only without noise and with a linear link.

    Arguments, shapes, units and errors are those of ``predicted_alignment``.
    """
    problem = _checked(spectrum, aspect_ratio, link, noise)
    damping = problem.aspect_ratio * problem.noise_ratio
    cosine = _kfac(problem, problem.aspect_ratio, damping)
    return OptimalDamping(_plain(damping * problem.mean), _plain(problem.sign * cosine))


def _sgd(problem: _Problem, aspect_ratio: Array) -> Array:
    """m1 c / sqrt(c^2 m2 + gamma m1 (c^2 m1 + tau^2)), over c m1."""
    second = np.mean(problem.spectrum**2)
    return 1 / np.sqrt(second + aspect_ratio * (1 + problem.noise_ratio))


def _kfac(problem: _Problem, aspect_ratio: Array, damping: Array) -> Array:
    """A_1 / sqrt(A_2 + (kappa^2 D + tau^2 / (c^2 m1)) gamma D / (rho + gamma kappa D))."""
    ridge = effective_ridge(problem.spectrum, aspect_ratio, damping)
    relative = ridge.kappa / ridge.scale
    response = ridge.ratio + aspect_ratio * relative * (ridge.spread / ridge.scale)
    # Zero only at gamma = 1 without damping, where the variance is infinite.
    singular = response == 0
    gain = aspect_ratio * ridge.spread / np.where(singular, 1.0, response)
    power = ridge.second + (relative**2 * ridge.spread + problem.noise_ratio) * gain
    cosine = np.minimum(ridge.first / np.sqrt(power), 1.0)  # above 1 is rounding
    return np.where(singular, float(problem.noise_ratio == 0), cosine)


def _checked(
    spectrum: ArrayLike, aspect_ratio: ArrayLike, link: str | Link, noise: float
) -> _Problem:
    """The problem in units of the mean eigenvalue, or a ValueError that says what is wrong."""
    spectrum, gamma = np.asarray(spectrum, dtype=float), np.asarray(aspect_ratio, dtype=float)
    if spectrum.ndim != 1 or spectrum.size == 0:
        raise ValueError(f"spectrum of shape {spectrum.shape} must be a list of eigenvalues")
    _require(spectrum > 0, "spectrum", spectrum, "positive and finite")
    _require(gamma > 0, "aspect_ratio", gamma, "positive and finite")
    if not (np.isfinite(noise * noise) and noise >= 0):
        raise ValueError(f"noise = {noise} is impossible: it must be finite and at least 0")
    mean = float(spectrum.mean())
    part = linear_part(link, mean)
    noise_ratio = (part.rest + noise * noise) / (part.slope**2 * mean)
    return _Problem(mean, spectrum / mean, gamma, math.copysign(1.0, part.slope), noise_ratio)


def _require(holds: NDArray[np.bool_], name: str, values: Array, rule: str) -> None:
    """A ValueError that names the first value for which the rule does not hold, or no number."""
    wrong = values[~(holds & np.isfinite(values))]
    if wrong.size:
        raise ValueError(f"{name} = {wrong.flat[0]} is impossible: it must be {rule}")


def _plain(values: Array) -> float | Array:
    """A float for a scalar, the array otherwise."""
    return float(values) if np.ndim(values) == 0 else values
