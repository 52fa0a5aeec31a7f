"""Per-step contraction of the features' component outside the true subspace (Section 3.1)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerwise.theory.linear_task import LinearTask, outside

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


def sgd_mean_norm(
    steps: ArrayLike,  # t
    lr: float,  # eta
    eigenvalues: ArrayLike,
    head_singular_values: ArrayLike,
) -> Array:
    """|G (I - G*^T G*)|_F after t steps of population SGD at a frozen head F, over the start's: the shape
    of ``steps``.

    The error is a sum of modes, one for each singular value s of F and each eigenvalue lambda of Sigma_x,
    with factors 1 - eta s^2 lambda. This is the root mean square of their t-th powers: the expectation
    for a G_0 of independent entries and a uniformly random G*, but for the start's part along G*.
    """
    factors = _mode_factors(lr, eigenvalues, np.square(head_singular_values))
    t = np.asarray(steps, dtype=float)[..., None, None]
    return np.sqrt(np.mean(np.abs(factors) ** (2 * t), axis=(-2, -1)))


def sgd_norm(steps: ArrayLike, lr: float, task: LinearTask) -> Array:
    """|G (I - G*^T G*)|_F after t steps of population SGD at the frozen head ``task.head``: the shape of
    ``steps``, exact for this instance; infinite or NaN where it diverges.

    E = G - F^+ F* G* satisfies E+ = E - eta F^T F E Sigma_x, so that along the eigenvectors of F^T F its
    entries are multiplied by the modes' factors; P_perp, which need not commute with Sigma_x, is applied
    last, where it removes what E differs from G by.
    """
    error = task.features - np.linalg.pinv(task.head) @ task.head_true @ task.features_true
    squares, vectors = np.linalg.eigh(task.head.T @ task.head)
    factors = _mode_factors(lr, task.eigenvalues, squares)
    t = np.asarray(steps, dtype=float)[..., None, None]
    with np.errstate(over="ignore", invalid="ignore"):
        modes = (vectors.T @ error) * np.sign(factors) ** t * np.abs(factors) ** t
        return np.linalg.norm(outside(modes, task.features_true), axis=(-2, -1))


def _mode_factors(lr: float, eigenvalues: ArrayLike, head_squares: ArrayLike) -> Array:
    """1 - eta s^2 lambda, (k, d), for squared singular values s^2 (k,) of F and lambda (d,)."""
    return 1 - lr * np.asarray(head_squares)[:, None] * np.asarray(eigenvalues, dtype=float)
