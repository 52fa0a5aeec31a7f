"""Leading singular values and vectors of a layer or of its change."""

from typing import NamedTuple

import torch
from torch import Tensor


class Singular(NamedTuple):
    """Singular values, descending, and the right singular vector of the first, shape (d,)."""

    values: Tensor
    top: Tensor


def leading_singular(matrix: Tensor, count: int) -> Singular:
    """The ``count`` largest, by eigendecomposition of the Gram matrix of the smaller side.

    Values below about 1e-8 of the first (in float64) are rounding: an update of exact rank one has
    a ratio of that order, not an infinite one.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    powers, vectors = torch.linalg.eigh(matrix @ matrix.mT if wide else matrix.mT @ matrix)
    top = matrix.mT @ vectors[:, -1] if wide else vectors[:, -1]
    return Singular(powers.flip(0)[:count].clamp(min=0).sqrt(), top)


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of the angle between two vectors."""
    return float(a @ b / (a.norm() * b.norm()))
