"""Newton's method on the true Hessian over all weights at once, for small networks.

The Hessian of 0.5 E|y - F G x|^2 is the Gauss-Newton matrix plus the residual's cross term

    d^2 L / dG_ai dF_mb  =  F_ma (G Sigma)_bi  +  (a = b) (F G Sigma - E[y x^T])_mi

It is indefinite away from a minimum, so undamped Newton is drawn to saddle points as well. Along the
rescalings (A G, F A^-1) it vanishes with the gradient: it is singular there at stationary points
alone, and an undamped step close to one is decided by rounding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.networks.linear import Network, Weights, linear_gradients


def hessian(features: Tensor, head: Tensor, xx: Tensor, yx: Tensor) -> Tensor:
    """The Hessian over (vec G, vec F), rows flattened first: (V, N, N) with N = k (d_x + d_y).

    One seed's variants: features (V, k, d_x), head (V, d_y, k), xx (d_x, d_x), yx (d_y, d_x).
    """
    k, d_y = features.shape[-2], head.shape[-2]
    feature_x = features @ xx  # G Sigma
    residual = head @ feature_x - yx
    features_block = torch.einsum("vab,ij->vaibj", head.mT @ head, xx)
    head_block = torch.einsum("mn,vab->vmanb", torch.eye(d_y).to(xx), feature_x @ features.mT)
    cross = torch.einsum("vma,vbi->vaimb", head, feature_x)
    cross += torch.einsum("ab,vmi->vaimb", torch.eye(k).to(xx), residual)
    first, second, across = (
        block.flatten(3, 4).flatten(1, 2) for block in (features_block, head_block, cross)
    )
    return torch.cat(
        [torch.cat([first, across], dim=2), torch.cat([across.mT, second], dim=2)], dim=1
    )


class Newton:
    """W <- W - lr * (Hessian + damping I)^-1 gradient, both layers at once, by a dense LU solve.

    A singular system gives NaN. Memory grows with V N^2, for one seed at a time.
    """

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
        gradient = torch.cat([part.flatten(2) for part in gradients[:2]], dim=2)
        seeds = zip(*weights, moments.xx, moments.yx, gradient, strict=True)
        step = torch.stack([self._solve(hessian(*seed), g) for *seed, g in seeds])
        features, head = weights
        d_g, d_f = step.split([features[0, 0].numel(), head[0, 0].numel()], dim=2)
        lr = self._grid.lr
        return Weights(features - lr * d_g.view_as(features), head - lr * d_f.view_as(head)), None

    def _solve(self, matrix: Tensor, gradient: Tensor) -> Tensor:
        matrix.diagonal(dim1=-2, dim2=-1).add_(self._grid.damping[:, 0])
        solution, failed = torch.linalg.solve_ex(matrix, gradient)
        return torch.where((failed != 0)[:, None], torch.nan, solution)
