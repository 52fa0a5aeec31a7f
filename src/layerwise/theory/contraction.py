"""Per-step contraction of the features' component outside the true subspace (Section 3.1)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def kfac(lr: ArrayLike) -> Array:
    """|1 - eta|: KFAC's factor for G (I - G*^T G*), exact without noise, whatever Sigma_x and F*."""
    return np.abs(1 - np.asarray(lr, dtype=float))


def sgd_slowest(lr: ArrayLike, eigenvalue_min: ArrayLike, head_sigma_min: ArrayLike) -> Array:
    """1 - eta lambda_min(Sigma_x) sigma_min(F)^2: the factor of (S)GD's slowest mode."""
    curvature = np.asarray(eigenvalue_min) * np.square(head_sigma_min)
    return np.abs(1 - np.asarray(lr, dtype=float) * curvature)


def sgd_condition(kappa_x: ArrayLike, kappa_f: ArrayLike) -> Array:
    """kappa_x kappa_F^2: (S)GD's iterations at its best stable step size, up to a constant."""
    return np.asarray(kappa_x, dtype=float) * np.square(kappa_f)
