"""Gradient descent with heavy-ball momentum (Polyak 1964)."""

import torch

from layerwise.methods.base import OfGradients, Steps
from layerwise.networks.base import Layers


class Momentum(OfGradients):
    """V <- momentum V + gradient, W <- W - lr V, as torch.optim.SGD."""

    def __init__(self, steps: Steps, momentum: float) -> None:
        super().__init__(steps)
        self._momentum = momentum

    def start(self, weights: Layers) -> Layers:
        return tuple(torch.zeros_like(layer) for layer in weights)

    def directions(self, gradients: Layers, memory: Layers) -> tuple[Layers, Layers]:
        """The velocities."""
        pairs = zip(gradients, memory, strict=True)
        velocities = tuple(gradient + self._momentum * past for gradient, past in pairs)
        return velocities, velocities
