"""Input covariances: spectra with mean eigenvalue one, and the bases that they live in."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_spaced(d: int, kappa: float) -> Array:
    """Eigenvalues equally spaced on a log axis, from the largest to the smallest."""
    return np.geomspace(kappa, 1.0, d)


def two_level(d: int, kappa: float) -> Array:
    """Half of the eigenvalues (rounded up) at the top level, the others kappa times smaller."""
    return np.where(np.arange(d) < (d + 1) // 2, kappa, 1.0)


def power_law(d: int, kappa: float) -> Array:
    """Eigenvalues i^(-a), with the exponent a that makes the last one kappa times smaller."""
    exponent = np.log(kappa) / np.log(d) if d > 1 else 0.0
    return np.arange(1, d + 1, dtype=float) ** -exponent


SPECTRA = {"log": log_spaced, "two_level": two_level, "power_law": power_law}


def spectrum(kind: str, d: int, kappa: float) -> Array:
    """Eigenvalues of Sigma_x: shape (d,), descending, mean 1, ratio of extremes ``kappa``.

    Raises ValueError for an unknown kind, for kappa < 1, and for kappa > 1 with one eigenvalue.
    """
    if kind not in SPECTRA:
        raise ValueError(f"spectrum = {kind!r} is unknown: allowed are {', '.join(SPECTRA)}")
    if kappa < 1 or (d == 1 and kappa != 1):
        raise ValueError(f"kappa = {kappa!r} is impossible: at least 1, and exactly 1 when d = 1")
    values = SPECTRA[kind](d, kappa)
    return values / values.mean()


def haar(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """A Haar-distributed matrix with orthonormal columns: shape (rows, columns), rows >= columns.

    The sign of R's diagonal is folded into Q: a plain QR is not uniformly distributed.
    """
    q, r = np.linalg.qr(rng.standard_normal((rows, columns)))
    return q * np.sign(np.diagonal(r))


def eigenbasis(kind: str, d: int, rng: np.random.Generator) -> Array:
    """Eigenvectors of Sigma_x as columns, shape (d, d): Haar (``rotated``) or the axes (``axis``)."""
    if kind not in ("rotated", "axis"):
        raise ValueError(f"basis = {kind!r} is unknown: allowed are rotated, axis")
    return haar(rng, d, d) if kind == "rotated" else np.eye(d)
