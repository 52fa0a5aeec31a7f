"""Full second-order steps over all weights of the linear network, in closed form.

Gauss-Newton. The step (dG, dF) solves (H + damping I) (dG, dF) = -(grad_G, grad_F), where H is the
Gauss-Newton matrix of 0.5 E|y - F G x|^2, cross terms between the layers included:

    F^T (F dG + dF G) Sigma + damping dG = -grad_G
    (F dG + dF G) Sigma G^T + damping dF = -grad_F

With Sigma = Q diag(l) Q^T and F = U diag(s) V^T, the rows of V^T dG Q separate, and eliminating them
leaves one k x k system for each row of U^T dF. That is exact and costs one eigendecomposition a
batch, shared by all variants, where a dense solve would take k (d_x + d_y) unknowns for each.

Newton. The Hessian adds the residual's cross term to the left sides, with E = F G Sigma - E[y x^T]:

    F^T (F dG + dF G) Sigma + dF^T E + damping dG = -grad_G
    (F dG + dF G) Sigma G^T + E dG^T + damping dF = -grad_F

In the bases of Q and V the features' block F^T F (x) Sigma is diagonal, so that eliminating dG leaves one
system of the k d_y entries of dF. The Hessian is indefinite away from a minimum, so undamped Newton is
drawn to saddle points as well. Along the rescalings (A G, F A^-1) it vanishes with the gradient: it is
singular there at stationary points alone, and an undamped step close to one is decided by rounding.
"""

import torch
from torch import Tensor

from layerwise.networks.base import Layers
from layerwise.networks.linalg import solve_spd_right, times_seed_matrix


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
    """(dG, dF) as in :func:`gauss_newton_step`, for any damping (V, 1, 1); NaN where the sum is singular,
    or its features' block up to rounding: undamped on fewer samples than dimensions, all singular."""
    eigenvalues, q = torch.linalg.eigh(xx)
    squares, v = torch.linalg.eigh(head.mT @ head)
    spread = eigenvalues[:, None, None, :]  # l, (S, 1, 1, d)
    g, f = v.mT @ times_seed_matrix(features, q), head @ v
    e = f @ (g * spread) - (yx @ q)[:, None]  # E Q, (S, V, d_y, d)
    r_g = v.mT @ times_seed_matrix(-gradients[0], q)
    r_f = -(gradients[1] @ v)
    block = squares[..., None] * spread + damping  # the features', (S, V, k, d)
    size = block.abs()
    rounding = (
        block.shape[-1] * torch.finfo(block.dtype).eps * size.amax(dim=(-2, -1), keepdim=True)
    )
    singular = (size <= rounding).any(dim=-1, keepdim=True).any(dim=-2, keepdim=True)
    inverse = torch.where(singular, torch.nan, 1 / block)
    matrix = _eliminated(g, f, e, spread, inverse)
    matrix.diagonal(dim1=-2, dim2=-1).add_(damping.squeeze(-1))
    moved = inverse * r_g
    right = r_f - f @ (moved * spread) @ g.mT - e @ moved.mT
    solution, failed = torch.linalg.solve_ex(matrix, right.flatten(2).expand(matrix.shape[:-1]))
    solution = torch.where((failed != 0)[..., None], torch.nan, solution)
    d_f = solution.unflatten(-1, right.shape[-2:])  # dF V
    d_g = moved - inverse * (f.mT @ d_f @ g * spread + d_f.mT @ e)  # V^T dG Q
    return times_seed_matrix(v @ d_g, q.mT), d_f @ v.mT


def _eliminated(g: Tensor, f: Tensor, e: Tensor, spread: Tensor, inverse: Tensor) -> Tensor:
    """The undamped matrix over the entries (m, b) of dF V without V^T dG Q, (S, V, k d_y, k d_y):

    (m = n) (G Sigma G^T)_bc - sum_a F_ma F_na A^a_bc - F_mc B^c_bn - F_nb B^b_cm - (b = c) D^b_mn

    with W_a = diag(inverse_a), A^a = G Sigma W_a Sigma G^T, B^c = G Sigma W_c E^T and D^b = E W_b E^T.
    """
    weighted = inverse[:, :, :, None, :]  # W_a in front of rows: (S, V, a, 1, d)
    scaled = g * spread
    a = (scaled[:, :, None] * weighted).flatten(2, 3) @ scaled.mT
    a = a.unflatten(2, (g.shape[2], g.shape[2]))  # A^a_bc
    b = ((scaled[:, :, None] * weighted).flatten(2, 3) @ e.mT).unflatten(2, a.shape[2:4])  # B^c_bn
    d = ((e[:, :, None] * weighted).flatten(2, 3) @ e.mT).unflatten(2, (g.shape[2], e.shape[2]))
    across = torch.einsum("svmc,svcbn->svmbnc", f, b)
    through = torch.einsum("svma,svna,svabc->svmbnc", f, f, a)
    matrix = -through - across - across.permute(0, 1, 4, 5, 2, 3)
    matrix.diagonal(dim1=2, dim2=4).add_((scaled @ g.mT)[..., None])  # (s, v, b, c, m)
    matrix.diagonal(dim1=3, dim2=5).sub_(d.permute(0, 1, 3, 4, 2))  # (s, v, m, n, b)
    return matrix.flatten(4, 5).flatten(2, 3)
