"""Input covariances: spectra with mean eigenvalue one, and the bases that they live in."""

import importlib

import numpy as np
from numpy.typing import NDArray

from layerwise.data.spectra import NAMES as SPECTRA

Array = NDArray[np.float64]


def spectrum(kind: str, d: int, kappa: float) -> Array:
    """Eigenvalues of Sigma_x: shape (d,), descending, mean 1, ratio of extremes ``kappa``.

    ``kind`` is a file of data/spectra. Raises ValueError for an unknown kind, for kappa < 1, and for
    kappa > 1 with one eigenvalue.
    """
    if kind not in SPECTRA:
        raise ValueError(f"spectrum = {kind!r} is unknown: allowed are {', '.join(SPECTRA)}")
    if kappa < 1 or (d == 1 and kappa != 1):
        raise ValueError(f"kappa = {kappa!r} is impossible: at least 1, and exactly 1 when d = 1")
    module = importlib.import_module(f"layerwise.data.spectra.{kind}")
    values: Array = module.eigenvalues(d, kappa)
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
