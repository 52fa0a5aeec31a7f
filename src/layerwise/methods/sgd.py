"""Stochastic gradient descent on both layers at once."""

from collections.abc import Sequence

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.networks.linear import Network, Weights


class SGD:
    """W <- W - lr * gradient, as torch.optim.SGD."""

    batches_per_step = 1

    def __init__(self, grid: Grid) -> None:
        self._lr = grid.lr

    def start(self, weights: Weights) -> None:
        return None

    def step(
        self, weights: Weights, batches: Sequence[Moments], memory: None, network: Network
    ) -> tuple[Weights, None]:
        gradients = network.gradients(weights, batches[0])
        stepped = Weights(
            weights.features - self._lr * gradients.features,
            weights.head - self._lr * gradients.head,
        )
        return stepped, None
