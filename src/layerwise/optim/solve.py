"""Damped inverses of Kronecker factors."""

import torch
from torch import Tensor


def damped_inverse(factor: Tensor, damping: float) -> Tensor | None:
    """(factor + damping I)^-1 for a symmetric factor (d, d).

    None if that is not positive definite, or so nearly singular that rounding decides its inverse:
    the smallest pivot is below the last digit of the largest entry.
    """
    damped = factor.clone()
    damped.diagonal().add_(damping)
    cholesky, failed = torch.linalg.cholesky_ex(damped)
    pivots = cholesky.diagonal().square()
    rounding = torch.finfo(factor.dtype).eps * damped.diagonal().max()
    if failed or not bool(pivots.min() > rounding):
        return None
    return torch.cholesky_inverse(cholesky)


def split_damping(inputs: Tensor, outputs: Tensor, damping: float) -> tuple[float, float]:
    """(pi sqrt(damping), sqrt(damping) / pi), to add to the diagonals of Q and of P.

    pi^2 is the ratio of their mean eigenvalues: (Q + pi sqrt(damping) I) x (P + sqrt(damping) / pi I)
    is closest to P x Q + damping I by a trace norm (Martens and Grosse 2015, sec. 6.3). It is 1
    where a factor is zero.
    """
    means = [factor.diagonal().mean().item() for factor in (inputs, outputs)]
    pi = (means[0] / means[1]) ** 0.5 if min(means) > 0 else 1.0
    return pi * damping**0.5, damping**0.5 / pi
