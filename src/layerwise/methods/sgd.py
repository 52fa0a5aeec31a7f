"""Stochastic gradient descent, on all layers at once or on the first alone."""

import torch

from layerwise.methods.base import OfGradients, Steps
from layerwise.networks.base import Layers


class SGD(OfGradients):
    """W <- W - lr * gradient, as torch.optim.SGD; with ``freeze_others`` all but the first stay."""

    def __init__(self, steps: Steps, freeze_others: bool = False) -> None:
        super().__init__(steps)
        self._freeze_others = freeze_others

    def directions(self, gradients: Layers, memory: None) -> tuple[Layers, None]:
        """The gradients themselves."""
        if self._freeze_others:
            return (gradients[0], *map(torch.zeros_like, gradients[1:])), None
        return gradients, None
