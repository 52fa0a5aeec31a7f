"""Full second-order steps over all weights of the linear network, in closed form.

Gauss-Newton. The step (dG, dF) solves (H + damping I) (dG, dF) = -(grad_G, grad_F), where H is the
Gauss-Newton matrix of 0.5 E|y - F G x|^2, cross terms between the layers included:

    F^T (F dG + dF G) Sigma + damping dG = -grad_G
    (F dG + dF G) Sigma G^T + damping dF = -grad_F

With Sigma = Q diag(l) Q^T and F = U diag(s) V^T, the rows of V^T dG Q separate, and eliminating them
leaves one k x k system for each row of U^T dF. That is exact and costs one eigendecomposition a
batch, shared by all variants, where a dense solve would take k (d_x + d_y) unknowns for each.

Newton. The Hessian is the Gauss-Newton matrix plus the residual's cross term

    d^2 L / dG_ai dF_mb  =  F_ma (G Sigma)_bi  +  (a = b) (F G Sigma - E[y x^T])_mi

It is indefinite away from a minimum, so undamped Newton is drawn to saddle points as well. Along the
rescalings (A G, F A^-1) it vanishes with the gradient: it is singular there at stationary points
alone, and an undamped step close to one is decided by rounding.
"""

import torch
from torch import Tensor

from layerwise.networks.base import Layers
from layerwise.networks.linalg import damped_descent, solve_spd_right, times_seed_matrix


def gauss_newton_step(
    features: Tensor, head: Tensor, gradients: Layers, xx: Tensor, damping: Tensor
) -> Layers:
    """(dG, dF), shaped as the weights (S, V, …); xx (S, d_x, d_x). damping (S, V, 1, 1), as it is added to
    H, must be positive, since H is singular along the rescalings (A G, F A^-1)."""
    eigenvalues, q = torch.linalg.eigh(xx)
    u, s, v = _small_svd(head)
    spread = eigenvalues[:, None, None, :]  # l, (S, 1, 1, d)
    g = times_seed_matrix(features, q)
    r_g = v.mT @ times_seed_matrix(-gradients[0], q)  # (S, V, k, d)
    r_f = -(u.mT @ gradients[1])  # (S, V, k, k)
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
    outside = -gradients[1] - u @ r_f
    zz = (g * spread) @ g.mT + damping * identity
    return times_seed_matrix(v @ d_g, q.mT), u @ d_f + solve_spd_right(outside, zz)


def _small_svd(head: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """F = U diag(s) V^T with signed s, by the eigenvectors of F^T F: several times faster than a
    batched SVD. F V has orthogonal columns, and its QR keeps U orthonormal where s is tiny."""
    v = torch.linalg.eigh(head.mT @ head).eigenvectors
    u, r = torch.linalg.qr(head @ v)
    return u, r.diagonal(dim1=-2, dim2=-1), v


def newton_step(
    features: Tensor, head: Tensor, gradients: Layers, xx: Tensor, yx: Tensor, damping: Tensor
) -> Layers:
    """-(Hessian + damping I)^-1 gradient by a dense LU solve; NaN where the sum is singular. Shapes as
    in :func:`gauss_newton_step`. Memory grows with V (k (d_x + d_y))^2, for one seed at a time."""
    flat = torch.cat([part.flatten(2) for part in gradients], dim=2)
    moves = [
        damped_descent(hessian(*seed), gradient, damping)
        for *seed, gradient in zip(features, head, xx, yx, flat, strict=True)
    ]
    d_g, d_f = torch.stack(moves).split([features[0, 0].numel(), head[0, 0].numel()], dim=2)
    return d_g.unflatten(2, features.shape[2:]), d_f.unflatten(2, head.shape[2:])


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
