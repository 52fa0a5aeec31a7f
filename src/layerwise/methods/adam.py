"""Adam (Kingma & Ba 2015), a diagonal preconditioner."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.networks.linear import Network, Weights


class Memory(NamedTuple):
    """Averages of gradients and of their squares, each (features, head), and the step count."""

    first: tuple[Tensor, Tensor]
    second: tuple[Tensor, Tensor]
    steps: int


class Adam:
    """As torch.optim.Adam, with bias correction and without weight decay."""

    batches_per_step = 1

    def __init__(self, grid: Grid, beta1: float, beta2: float, epsilon: float) -> None:
        self._lr = grid.lr
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon

    def start(self, weights: Weights) -> Memory:
        zeros = (torch.zeros_like(weights.features), torch.zeros_like(weights.head))
        return Memory(zeros, zeros, 0)

    def step(
        self, weights: Weights, batches: Sequence[Moments], memory: Memory, network: Network
    ) -> tuple[Weights, Memory]:
        gradients = network.gradients(weights, batches[0])
        steps = memory.steps + 1
        updated = [
            self._update(*parts, steps)
            for parts in zip(weights, gradients[:2], memory.first, memory.second, strict=True)
        ]
        (features, first_g, second_g), (head, first_f, second_f) = updated
        return Weights(features, head), Memory((first_g, first_f), (second_g, second_f), steps)

    def _update(
        self, weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, steps: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        first = torch.lerp(first, gradient, 1 - self._beta1)
        second = torch.addcmul(self._beta2 * second, gradient, gradient, value=1 - self._beta2)
        scale = (second / (1 - self._beta2**steps)).sqrt_().add_(self._epsilon)
        step = first / scale * (self._lr / (1 - self._beta1**steps))
        return weight - step, first, second
