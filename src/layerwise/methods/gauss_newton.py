"""Exact damped Gauss-Newton over all weights at once: the "full second-order" method.

The step (dG, dF) solves (H + damping I) (dG, dF) = -(grad_G, grad_F), where H is the Gauss-Newton
matrix of 0.5 E|y - F G x|^2, cross terms between the layers included:

    F^T (F dG + dF G) Sigma + damping dG = -grad_G
    (F dG + dF G) Sigma G^T + damping dF = -grad_F

With Sigma = Q diag(l) Q^T and F = U diag(s) V^T, the rows of V^T dG Q separate, and eliminating them
leaves one k x k system for each row of U^T dF. That is exact and costs one eigendecomposition a
batch, shared by all variants, where a dense solve would take k (d_x + d_y) unknowns for each.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.networks.linalg import solve_spd_right, times_seed_matrix
from layerwise.networks.linear import Gradients, Network, Weights, linear_gradients


def gauss_newton_step(
    weights: Weights, gradients: Gradients, xx: Tensor, damping: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve for (dG, dF); damping (V, 1, 1) must be positive, since H is singular along the
    rescalings (A G, F A^-1). Shapes as the weights'; xx (S, d_x, d_x)."""
    eigenvalues, q = torch.linalg.eigh(xx)
    u, s, v = _small_svd(weights.head)
    spread = eigenvalues[:, None, None, :]  # l, (S, 1, 1, d)
    g = times_seed_matrix(weights.features, q)
    r_g = v.mT @ times_seed_matrix(-gradients.features, q)  # (S, V, k, d)
    r_f = -(u.mT @ gradients.head)  # (S, V, k, k)
    inverse = 1 / (s[..., None].square() * spread + damping)  # (S, V, k, d)
    # One k x k matrix for each of the k rows: G diag(damping l / (s^2 l + damping)) G^T + damping.
    weighted = g[:, :, None] * (damping * spread * inverse)[:, :, :, None, :]  # (S, V, k, k, d)
    identity = torch.eye(g.shape[-2], dtype=g.dtype, device=g.device)
    gram = weighted.flatten(2, 3) @ g.mT  # one product for all k rows
    matrix = gram.unflatten(2, weighted.shape[2:4]) + damping[..., None] * identity
    right = r_f - (s[..., None] * r_g * spread * inverse) @ g.mT
    d_f = solve_spd_right(right[:, :, :, None, :], matrix).squeeze(-2)  # rows of U^T dF
    d_g = (r_g - s[..., None] * (d_f @ g) * spread) * inverse
    # Outside the range of F only the head moves.
    outside = -gradients.head - u @ r_f
    zz = (g * spread) @ g.mT + damping * identity
    return times_seed_matrix(v @ d_g, q.mT), u @ d_f + solve_spd_right(outside, zz)


def _small_svd(head: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """F = U diag(s) V^T with signed s, by the eigenvectors of F^T F: several times faster than a
    batched SVD. F V has orthogonal columns, and its QR keeps U orthonormal where s is tiny."""
    v = torch.linalg.eigh(head.mT @ head).eigenvectors
    u, r = torch.linalg.qr(head @ v)
    return u, r.diagonal(dim1=-2, dim2=-1), v


class GaussNewton:
    """W <- W + lr * the damped Gauss-Newton step, both layers at once."""

    batches_per_step = 1

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def start(self, weights: Weights) -> None:
        return None

    def step(
        self, weights: Weights, batches: Sequence[Moments], memory: None, network: Network
    ) -> tuple[Weights, None]:
        (moments,) = batches
        gradients = linear_gradients(weights, moments)
        d_g, d_f = gauss_newton_step(weights, gradients, moments.xx, self._grid.damping)
        lr = self._grid.lr
        return Weights(weights.features + lr * d_g, weights.head + lr * d_f), None
