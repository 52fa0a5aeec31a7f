"""Adam (Kingma & Ba 2015), a diagonal preconditioner."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from layerwise.methods.base import OfGradients, Scale, Steps
from layerwise.networks.base import Layers


class Memory(NamedTuple):
    """Averages of gradients and of their squares, layer by layer, and the step count."""

    first: Layers
    second: Layers
    steps: int


class Adam(OfGradients):
    """As torch.optim.Adam, with bias correction and without weight decay."""

    scale: ClassVar[Scale] = "own"

    def __init__(self, steps: Steps, beta1: float, beta2: float, epsilon: float) -> None:
        super().__init__(steps)
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon

    def start(self, weights: Layers) -> Memory:
        zeros = tuple(torch.zeros_like(layer) for layer in weights)
        return Memory(zeros, zeros, 0)

    def directions(self, gradients: Layers, memory: Memory) -> tuple[Layers, Memory]:
        """first / (sqrt(second) + epsilon), both corrected for their start at zero."""
        steps = memory.steps + 1
        of = zip(gradients, memory.first, memory.second, strict=True)
        ways, first, second = zip(*(self._direction(*parts, steps) for parts in of), strict=True)
        return ways, Memory(first, second, steps)

    def _direction(
        self, gradient: Tensor, first: Tensor, second: Tensor, steps: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        first = torch.lerp(first, gradient, 1 - self._beta1)
        second = torch.addcmul(self._beta2 * second, gradient, gradient, value=1 - self._beta2)
        scale = (second / (1 - self._beta2**steps)).sqrt_().add_(self._epsilon)
        return first / scale.mul_(1 - self._beta1**steps), first, second
