"""Alternating descent with a least-squares head: DFW whitens the features' gradient, AMGD does not."""

from collections.abc import Sequence

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.methods.kfac import precondition_inputs
from layerwise.networks.linalg import orthonormal_rows
from layerwise.networks.linear import Network, Weights, least_squares_head, linear_gradients


class DFW:
    """De-biased feature whitening (Zhang et al. 2023): Eq. 5 with P_G = I and eta_F = 1, features
    re-orthonormalised, head and features fitted on independent batches."""

    batches_per_step = 2
    whiten = True

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def start(self, weights: Weights) -> None:
        return None

    def step(
        self, weights: Weights, batches: Sequence[Moments], memory: None, network: Network
    ) -> tuple[Weights, None]:
        moments, head_moments = batches
        direction = linear_gradients(weights, moments).features
        if self.whiten:
            direction = precondition_inputs(direction, moments.xx, self._grid.dampings)
        features = orthonormal_rows(weights.features - self._grid.lr * direction)
        return Weights(features, least_squares_head(features, head_moments)), None
