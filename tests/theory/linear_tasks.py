"""Instances of linear problems for the theory's tests, from NumPy alone."""

import numpy as np

from layerwise.data.covariance import haar, spectrum
from layerwise.theory.linear_task import LinearTask


def linear_task(
    seed: int, kappa_x: float, kappa_f: float, d: int = 100, d_y: int = 15, k: int = 8
) -> LinearTask:
    """The package's model, in Sigma_x's eigenbasis: singular values of F* log-spaced from 1 down."""
    rng = np.random.default_rng(seed)
    return LinearTask(
        eigenvalues=spectrum("log", d, kappa_x),
        features_true=haar(rng, d, k).T,
        head_true=haar(rng, d_y, k) * np.geomspace(1, 1 / kappa_f, k) @ haar(rng, k, k).T,
        features=rng.standard_normal((k, d)) / np.sqrt(d),
        head=rng.standard_normal((d_y, k)) / np.sqrt(k),
    )


def batch_moments(
    rng: np.random.Generator, eigenvalues: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """X^T X / n and X itself, for n Gaussian inputs with independent coordinates."""
    x = rng.standard_normal((n, len(eigenvalues))) * np.sqrt(eigenvalues)
    return x.T @ x / n, x
