"""The layer-wise preconditioner of Eq. 5: a Kronecker factor on each side of a layer's gradient.

    G+ = G - lr P_G^-1 grad_G (Q_G + damping I)^-1        Q_G = Sigma_x hat
    F+ = F - lr_head grad_F(F, G+) Q_F^-1                 Q_F = E z z^T on the same batch, z = G+ x

The functions are the equation's parts; KFAC is their composition.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.networks.linalg import (
    cholesky,
    solve_factored_right,
    solve_spd_left,
    times_seed_matrix,
)
from layerwise.networks.linear import Network, Weights, least_squares_head, linear_gradients


def precondition_inputs(gradient: Tensor, xx: Tensor, dampings: Tensor) -> Tensor:
    """gradient (Q_G + damping I)^-1, with one factorisation for each seed and damping value.

    gradient (S, V, k, d_x), where V runs over dampings (D,) first and step sizes second;
    xx (S, d_x, d_x) is the batch's second moment Q_G.
    """
    s, v, k, d = gradient.shape
    identity = torch.eye(d, dtype=xx.dtype, device=xx.device)
    factor = cholesky(xx[:, None] + dampings[:, None, None] * identity)  # (S, D, d, d)
    rows = gradient.reshape(s, len(dampings), -1, d)
    return solve_factored_right(rows, factor).reshape(s, v, k, d)


def output_preconditioned_gradient(weights: Weights, moments: Moments) -> Tensor:
    """P_G^-1 grad_G with P_G = F^T F, shape (S, V, k, d_x).

    Since grad_G = F^T (F G Sigma - E[y x^T]), it is G Sigma less the least-squares fit of F to
    E[y x^T]; a product with P_G and a solve of as many columns as x has are never formed.
    """
    features, head = weights
    fit = solve_spd_left(head.mT @ head, head.mT)  # (F^T F)^-1 F^T
    return times_seed_matrix(features, moments.xx) - times_seed_matrix(fit, moments.yx)


class Average(NamedTuple):
    """Q_G averaged over batches: its exponential average from zero, (S, d_x, d_x), and their count."""

    xx: Tensor
    steps: int


class KFAC:
    """Eq. 5 with P_G = F^T F (``precondition_outputs``) or P_G = I.

    ``lr_head`` is eta_F; None makes it equal to lr, eta_G. At eta_F = 1 the head is the
    least-squares fit on the batch. With ``factor_decay`` beta, Q_G is the exponential average
    beta Q_G + (1 - beta) Sigma_x hat, divided by 1 - beta^t at step t as in Adam; 0 is the batch alone.
    """

    batches_per_step = 1

    def __init__(
        self,
        grid: Grid,
        precondition_outputs: bool,
        lr_head: float | None,
        factor_decay: float = 0.0,
    ) -> None:
        self._grid = grid
        self._lr_head = grid.lr if lr_head is None else lr_head
        self._precondition_outputs = precondition_outputs
        self._decay = factor_decay

    def start(self, weights: Weights) -> Average:
        s, _, _, d = weights.features.shape
        return Average(weights.features.new_zeros(s, d, d), 0)

    def step(
        self, weights: Weights, batches: Sequence[Moments], memory: Average, network: Network
    ) -> tuple[Weights, Average]:
        (moments,) = batches
        memory = Average(torch.lerp(memory.xx, moments.xx, 1 - self._decay), memory.steps + 1)
        factor = memory.xx / (1 - self._decay**memory.steps)  # Q_G
        direction = (
            output_preconditioned_gradient(weights, moments)
            if self._precondition_outputs
            else linear_gradients(weights, moments).features
        )
        direction = precondition_inputs(direction, factor, self._grid.dampings)
        features = weights.features - self._grid.lr * direction
        # F - lr_head (F zz - y z^T) zz^-1, written as the average that it is.
        fitted = least_squares_head(features, moments)
        head = weights.head + self._lr_head * (fitted - weights.head)
        return Weights(features, head), memory
