"""KFAC's noise floor on linear problems: of the subspace distance and of the excess loss.

Write y = F* G* x + eps, eps ~ N(0, sigma^2 I). KFAC's step on G, times P_perp = I - G*^T G*, is

    G+ P_perp = (1 - eta) G P_perp + eta F^+ N P_perp,    N = mean(eps x^T) Sigma_hat^-1,

an autoregression whose factor depends on nothing but eta; N is the batch's least-squares noise, of
covariance sigma^2 Sigma^-1 / (n - d - 1). Its stationary law is the floor. docs/theory.md derives all.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

DRAWS = 4000


class Floor(NamedTuple):
    """The stationary subspace distance, with the Monte Carlo error (one standard error) of its median."""

    median: Array
    mean: Array
    median_error: Array


def noise_gain(lr: ArrayLike) -> Array:  # eta
    """eta / (2 - eta): stationary variance over a step's own, of x+ = (1 - eta) x + eta noise.

    Raises ValueError for step sizes outside (0, 2), where there is no stationary law.
    """
    eta = np.asarray(lr, dtype=float)
    if not ((eta > 0) & (eta < 2)).all():
        raise ValueError(f"lr = {lr!r} is impossible: a stationary law needs 0 < lr < 2")
    return eta / (2 - eta)


def tangent_draws(
    eigenvalues: ArrayLike,
    head_singular_values: ArrayLike,
    features_true: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Array:
    """|(F*^T F*)^(-1/2) Z (P_perp Sigma^-1 P_perp)^(1/2)|_2 for draws of Z, sorted, shape (draws,).

    ``eigenvalues`` (d,) of Sigma_x and ``head_singular_values`` (k,) of F*, all positive;
    ``features_true`` G* (k, d), orthonormal rows in Sigma_x's eigenbasis, or None for a uniformly
    random one in each draw. Z is k x d standard normal. Z Sigma^(-1/2) P_perp has the same law as
    Z (P_perp Sigma^-1 P_perp)^(1/2), and needs no root.

    Raises ValueError where a singular value or an eigenvalue is not positive.
    """
    spectrum = np.asarray(eigenvalues, dtype=float)
    sigma = np.asarray(head_singular_values, dtype=float)
    if not ((spectrum > 0).all() and (sigma > 0).all()):
        raise ValueError("eigenvalues and head_singular_values must be positive")
    d, k = spectrum.size, sigma.size
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((draws, k, d)) / np.sqrt(spectrum)
    if features_true is None:
        basis = np.linalg.qr(rng.standard_normal((draws, d, k)))[0]
    else:
        basis = np.asarray(features_true, dtype=float).T
    outside = (noise - (noise @ basis) @ np.swapaxes(basis, -1, -2)) / sigma[:, None]
    gram = outside @ np.swapaxes(outside, -1, -2)
    return np.sort(np.sqrt(np.linalg.eigvalsh(gram)[:, -1]))


def distance_floor(
    lr: ArrayLike,  # eta
    noise: float,  # sigma
    batch_size: int,  # n
    eigenvalues: ArrayLike,
    head_singular_values: ArrayLike,
    features_true: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Floor:
    """KFAC's stationary subspace distance t / sqrt(1 + t^2), for each step size.

    t^2 = sigma^2 eta / ((2 - eta)(n - d - 1)) times the square of :func:`tangent_draws`, whose arguments
    and errors apply. It grows with 1/lambda_min, and with kappa_F. The result has the shape of ``lr``.
    The median's error is half the distance between the order statistics sqrt(draws)/2 away from it.

    Raises ValueError unless n > d + 1 and 0 < lr < 2.
    """
    scale = np.sqrt(noise_gain(lr) / _freedom(batch_size, np.size(eigenvalues))) * noise
    tangents = tangent_draws(eigenvalues, head_singular_values, features_true, draws, seed)
    distances = as_distance(scale[..., None] * tangents)
    middle, reach = draws / 2, max(np.sqrt(draws) / 2, 1.0)
    low, high = int(max(middle - reach, 0)), int(min(middle + reach, draws - 1))
    return Floor(
        np.median(distances, axis=-1),
        distances.mean(axis=-1),
        (distances[..., high] - distances[..., low]) / 2,
    )


def samples_to_distance(
    distance: float,
    noise: float,  # sigma
    eigenvalues: ArrayLike,
    head_singular_values: ArrayLike,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """The size n of one batch on which least squares has a subspace distance of ``distance``, in the
    median: KFAC's step at eta = 1, whose tangent is sigma / sqrt(n - d - 1) times
    :func:`tangent_draws`, whose arguments and errors apply."""
    tangent = distance / np.sqrt(1 - distance**2)
    median = float(np.median(tangent_draws(eigenvalues, head_singular_values, None, draws, seed)))
    return float(np.size(eigenvalues) + 1 + (noise * median / tangent) ** 2)


def excess_loss_floor(
    lr: ArrayLike,  # eta
    noise: float,  # sigma
    batch_size: int,  # n
    dimensions: tuple[int, int, int],  # d_x, d_y, k
) -> Array:
    """KFAC's stationary mean excess loss, of the shape of ``lr``. No condition number enters.

    sigma^2 / 2 times the sum of
    - k (d - k) / (n - d - 1) eta / (2 - eta): what G learns outside the true subspace,
    - k k / (n - d - 1) eta' / (2 - eta'), eta' = 1 - (1 - eta)^2: inside it both layers take a step,
    - (d_y - k) k / (n - k - 1) eta / (2 - eta): what F learns outside the true head's range.

    Raises ValueError unless n > d + 1, k < d, k <= d_y and 0 < lr < 2.
    """
    d, d_y, k = dimensions
    if not (0 < k < d and k <= d_y):
        raise ValueError(
            f"dimensions = {dimensions} are impossible: they need k < d_x and k <= d_y"
        )
    eta = np.asarray(lr, dtype=float)
    outer = noise_gain(eta)
    inner = noise_gain(eta * (2 - eta))
    features = (k * (d - k) * outer + k * k * inner) / _freedom(batch_size, d)
    head = (d_y - k) * k * outer / _freedom(batch_size, k)
    return 0.5 * noise**2 * (features + head)


def distance_after(
    lr: ArrayLike,  # eta
    steps: ArrayLike,  # T
    floor: ArrayLike,
    start: ArrayLike,  # c
) -> Array:
    """The subspace distance after T steps over eta: noise and what is left of the start, in squares.

    tan^2 = tan^2(floor) (1 - (1 - eta)^(2T)) + c^2 (1 - eta)^(2T), which is about floor^2 +
    c^2 (1 - eta)^(2T). ``floor`` is a distance, as of :func:`distance_floor` at the same step sizes;
    c is the tangent that the start would have in the coordinates of the end,
    ``population.kfac_start``. All broadcast.
    """
    left = np.abs(1 - np.asarray(lr, dtype=float)) ** (2 * np.asarray(steps))
    distance = np.asarray(floor, dtype=float)
    square = distance**2 / (1 - distance**2) * (1 - left) + np.square(start) * left
    return as_distance(np.sqrt(square))


def as_distance(tangent: ArrayLike) -> Array:
    """The sine of an angle from its tangent."""
    t = np.asarray(tangent, dtype=float)
    return t / np.sqrt(1 + t**2)


def _freedom(batch_size: int, dimension: int) -> int:
    """n - d - 1, of E (X^T X)^-1 = Sigma^-1 / (n - d - 1); a ValueError where that has no mean."""
    if batch_size <= dimension + 1:
        raise ValueError(
            f"batch_size = {batch_size} is too small: {dimension} dimensions need {dimension + 2}"
        )
    return batch_size - dimension - 1
