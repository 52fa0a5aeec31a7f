"""Shampoo (Gupta et al. 2018): L^(-1/4) grad R^(-1/4), with sums over all steps so far on each side of a
layer, L = epsilon I + sum of grad grad^T and R = epsilon I + sum of grad^T grad.
"""

from typing import ClassVar

import torch
from torch import Tensor

from layerwise.methods.base import OfGradients, Scale, Steps
from layerwise.networks.base import Layers

# L and R of each layer, (S, V, m, m) and (S, V, n, n).
Sums = tuple[tuple[Tensor, Tensor], ...]


def inverse_root(matrix: Tensor, power: float, smallest: float) -> Tensor:
    """M^(-1/power) of symmetric matrices (..., m, m) whose eigenvalues are at least ``smallest``, which
    rounding may hide; NaN where a matrix is not finite."""
    finite = matrix.isfinite().all(dim=-1, keepdim=True).all(dim=-2, keepdim=True)
    # The decomposition of one matrix that is not finite would fail for all.
    values, vectors = torch.linalg.eigh(torch.where(finite, matrix, 0.0))
    scaled = vectors * values.clamp(min=smallest).pow(-1 / power)[..., None, :]
    return torch.where(finite, scaled @ vectors.mT, torch.nan)


class Shampoo(OfGradients):
    """As pytorch_optimizer.Shampoo with both sides' roots taken anew at every step, without momentum and
    weight decay; by eigenvectors where that takes singular vectors."""

    scale: ClassVar[Scale] = "own"

    def __init__(self, steps: Steps, epsilon: float) -> None:
        super().__init__(steps)
        self._epsilon = epsilon

    def start(self, weights: Layers) -> Sums:
        """epsilon I on both sides of every layer, shared by a seed's variants as the weights are."""
        return tuple((self._identity(layer), self._identity(layer.mT)) for layer in weights)

    def directions(self, gradients: Layers, memory: Sums) -> tuple[Layers, Sums]:
        """The gradients between the roots of the sums that include them."""
        sums = tuple(
            (left + gradient @ gradient.mT, right + gradient.mT @ gradient)
            for gradient, (left, right) in zip(gradients, memory, strict=True)
        )
        ways = tuple(
            self._root(left) @ gradient @ self._root(right)
            for gradient, (left, right) in zip(gradients, sums, strict=True)
        )
        return ways, sums

    def _identity(self, layer: Tensor) -> Tensor:
        """epsilon I of the size of a layer's rows, (S, V, m, m)."""
        m = layer.shape[-2]
        one = torch.eye(m, dtype=layer.dtype, device=layer.device)
        return (self._epsilon * one).expand(*layer.shape[:-2], m, m)

    def _root(self, total: Tensor) -> Tensor:
        return inverse_root(total, 4, self._epsilon)
