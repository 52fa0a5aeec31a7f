"""An instance of linear representation learning, as the theory's recursions take it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class LinearTask(NamedTuple):
    """y = F* G* x and the weights at the start, in Sigma_x's eigenbasis."""

    eigenvalues: Array  # of Sigma_x, (d,)
    features_true: Array  # G*, (k, d), orthonormal rows
    head_true: Array  # F*, (d_y, k)
    features: Array  # G_0, (k, d)
    head: Array  # F_0, (d_y, k)


def outside(features: Array, features_true: Array) -> Array:
    """G P_perp = G (I - G*^T G*), for G (..., k, d)."""
    return features - (features @ features_true.T) @ features_true


def subspace_distance(features: Array, features_true: Array) -> Array:
    """Sine of the largest principal angle between the row spaces of G (..., k, d) and G* (k, d); to about
    1e-8, since squares are taken."""
    rows = np.swapaxes(np.linalg.qr(np.swapaxes(features, -1, -2))[0], -1, -2)
    away = outside(rows, features_true)
    squares = np.linalg.eigvalsh(away @ np.swapaxes(away, -1, -2))[..., -1]
    return np.sqrt(squares.clip(0, 1))
