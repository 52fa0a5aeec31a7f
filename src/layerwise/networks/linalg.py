"""Batched linear algebra under the preconditioners.

A matrix that belongs to a seed, shape (S, m, m), multiplies the weights of all variants of that seed,
shape (S, V, rows, m), in one product: the variants' rows are folded together, since a broadcast
batched product would copy the seed's matrix once for each variant.
"""

import torch
from torch import Tensor


def times_seed_matrix(rows: Tensor, matrix: Tensor) -> Tensor:
    """rows (S, V, r, m) times a seed's matrix (S, m, q): shape (S, V, r, q)."""
    s, v, r, m = rows.shape
    return (rows.reshape(s, v * r, m) @ matrix).view(s, v, r, matrix.shape[-1])


def cholesky(matrix: Tensor) -> Tensor:
    """Lower Cholesky factors; NaN where a matrix is not positive definite, so that the run that
    needed it is recorded as diverged and its neighbours are left alone."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return factor.masked_fill_((failed != 0)[..., None, None], torch.nan)


def solve_factored_right(rows: Tensor, factor: Tensor) -> Tensor:
    """rows (L L^T)^-1 for a lower Cholesky factor L, batch shapes equal.

    Solved from the right, rows stay as they lie in memory; ``cholesky_solve`` would copy them twice.
    """
    half = torch.linalg.solve_triangular(factor.mT, rows, upper=True, left=False)
    return torch.linalg.solve_triangular(factor, half, upper=False, left=False)


def solve_spd_right(rows: Tensor, matrix: Tensor) -> Tensor:
    """rows M^-1 for symmetric positive definite M, batch shapes equal; NaN where M is not."""
    return solve_factored_right(rows, cholesky(matrix))


def solve_spd_left(matrix: Tensor, columns: Tensor) -> Tensor:
    """M^-1 columns for symmetric positive definite M, batch shapes equal; NaN where M is not."""
    return torch.cholesky_solve(columns, cholesky(matrix))


def orthonormal_rows(matrix: Tensor) -> Tensor:
    """An orthonormal basis of the row space, shape as given (rows <= columns)."""
    return torch.linalg.qr(matrix.mT).Q.mT


def damped_descent(matrix: Tensor, gradient: Tensor, damping: Tensor) -> Tensor:
    """-(matrix + damping I)^-1 gradient for symmetric, perhaps indefinite matrices; NaN where the sum is
    singular. matrix (V or 1, N, N), gradient (V or 1, N), damping (V, 1, 1) in units of the mean size of
    the matrix's diagonal."""
    size = matrix.diagonal(dim1=-2, dim2=-1).abs().mean(dim=-1)[:, None, None]
    damping = damping * size
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    damped = matrix + damping * identity
    solution, failed = torch.linalg.solve_ex(damped, gradient.expand(len(damped), -1))
    return torch.where((failed != 0)[:, None], torch.nan, -solution)
