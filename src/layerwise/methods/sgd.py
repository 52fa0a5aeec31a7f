"""Stochastic gradient descent on all layers at once."""

from layerwise.methods.base import OfGradients
from layerwise.networks.base import Layers


class SGD(OfGradients):
    """W <- W - lr * gradient, as torch.optim.SGD."""

    def directions(self, gradients: Layers, memory: None) -> tuple[Layers, None]:
        """The gradients themselves."""
        return gradients, None
