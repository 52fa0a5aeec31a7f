"""Steepest descent in the spectral norm, one layer at a time, with exact orthogonalisation.

The step argmin_D <grad, D> + |D|_2^2 / (2 lr) is D = -lr |grad|_* U V^T, where grad = U diag(s) V^T is
the thin singular value decomposition and |grad|_* = sum of s the nuclear norm (Bernstein & Newhouse
2024). Without the factor |grad|_* steps keep their length and the weights never settle; that is what
Muon does, up to its momentum and its approximate U V^T.
"""

from typing import ClassVar

import torch
from torch import Tensor

from layerwise.methods.base import OfGradients, Scale
from layerwise.networks.base import Layers


def spectral_direction(gradient: Tensor) -> Tensor:
    """|grad|_* U V^T of each matrix (..., m, n), by the eigenvectors of the small Gram matrix.

    Squares hide singular values below the root of the rounding error, so they are read from a QR of
    grad V, which also keeps U orthonormal where they are tiny. Those at the rounding error itself
    have no direction and are left out; a gradient of zero gives zero.
    """
    tall = gradient if gradient.shape[-2] >= gradient.shape[-1] else gradient.mT
    # Of order one, so that the squares neither overflow nor vanish.
    scale = tall.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(tall.dtype).tiny)
    tall = tall / scale
    v = torch.linalg.eigh(tall.mT @ tall).eigenvectors.flip(-1)  # largest first
    u, r = torch.linalg.qr(tall @ v)
    s = r.diagonal(dim1=-2, dim2=-1)  # singular values, of either sign
    rounding = torch.finfo(s.dtype).eps * tall.shape[-2] * s.abs().amax(dim=-1, keepdim=True)
    signs = torch.where(s.abs() > rounding, s.sign(), 0.0)
    nuclear = s.abs().sum(dim=-1)[..., None, None] * scale
    polar = nuclear * ((u * signs[..., None, :]) @ v.mT)
    return polar if gradient.shape[-2] >= gradient.shape[-1] else polar.mT


class SpectralDescent(OfGradients):
    """W <- W - lr * |grad|_* U V^T for all layers at once."""

    scale: ClassVar[Scale] = "own"

    def directions(self, gradients: Layers, memory: None) -> tuple[Layers, None]:
        """|grad|_* U V^T, layer by layer."""
        return tuple(spectral_direction(gradient) for gradient in gradients), None
