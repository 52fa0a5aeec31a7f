"""Second moments that a step divides by: of a seed, of a seed on few samples, and of a run."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from layerwise.networks.linalg import cholesky, solve_factored_right, times_seed_matrix


def for_variants(damping: Tensor, variants: int) -> Tensor:
    """A value for each variant, (…, V, 1, 1), of damping (…, D, 1, 1)."""
    return damping.repeat_interleave(variants // damping.shape[-3], dim=-3)


def in_units(damping: Tensor, matrix: Tensor, variants: int) -> Tensor:
    """Damping (D, 1, 1) in units of the mean eigenvalue of a seed's matrix (S, m, m) or of a run's
    (S, V or 1, m, m): (S, D, 1, 1) or (S, V, 1, 1)."""
    mean = matrix.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
    return damping * mean[:, None] if matrix.ndim == 3 else for_variants(damping, variants) * mean


def _identity(matrix: Tensor) -> Tensor:
    return torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


@dataclass(frozen=True)
class SeedFactor:
    """A seed's matrix (S, m, m): one factorisation for each damping value serves all step sizes."""

    matrix: Tensor
    definite: bool = False

    def solve(self, rows: Tensor, damping: Tensor) -> Tensor:
        """As :class:`~layerwise.networks.base.Factor`."""
        s, v, r, m = rows.shape
        factor = cholesky(self.matrix[:, None] + damping * _identity(self.matrix))  # (S, D, m, m)
        folded = rows.reshape(s, factor.shape[1], -1, m)
        return solve_factored_right(folded, factor).reshape(s, v, r, m)

    def with_matrix(self, matrix: Tensor) -> "SeedFactor":
        """The factor of another matrix."""
        return SeedFactor(matrix, self.definite)


@dataclass(frozen=True)
class SpannedFactor:
    """A seed's matrix (S, m, m) of perhaps fewer samples than dimensions, n of them.

    One eigendecomposition serves all variants. Rows must lie in the span of the samples, as gradients
    do; at damping 0 it is the limit from above, the pseudo-inverse.
    """

    matrix: Tensor
    n: int
    definite: bool = False

    @cached_property
    def _eigen(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.matrix)
        return values, vectors

    def solve(self, rows: Tensor, damping: Tensor) -> Tensor:
        """As :class:`~layerwise.networks.base.Factor`."""
        values, vectors = self._eigen
        rounding = (
            max(self.n, values.shape[-1]) * torch.finfo(values.dtype).eps * values[:, -1:].abs()
        )
        spanned = (values > rounding)[:, None, None]
        damped = values[:, None, None] + for_variants(damping, rows.shape[1])
        scaled = times_seed_matrix(rows, vectors) / damped
        return times_seed_matrix(torch.where(spanned, scaled, 0.0), vectors.mT)

    def with_matrix(self, matrix: Tensor) -> "SpannedFactor":
        """The factor of another matrix, an average over samples that include these."""
        return SpannedFactor(matrix, self.n, self.definite)


@dataclass(frozen=True)
class RunFactor:
    """A run's own matrix (S, V, m, m)."""

    matrix: Tensor
    definite: bool = False

    def solve(self, rows: Tensor, damping: Tensor) -> Tensor:
        """As :class:`~layerwise.networks.base.Factor`."""
        damped = self.matrix + for_variants(damping, rows.shape[1]) * _identity(self.matrix)
        return solve_factored_right(rows, cholesky(damped))

    def with_matrix(self, matrix: Tensor) -> "RunFactor":
        """The factor of another matrix."""
        return RunFactor(matrix, self.definite)
