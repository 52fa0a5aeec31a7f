"""Muon (Jordan et al. 2024): momentum, orthogonalised by Newton-Schulz steps.

Each layer moves by lr sqrt(max(1, rows / columns)) times about U V^T, where U diag(s) V^T is the singular
value decomposition of its momentum: the quintic X <- a X + (b A + c A^2) X with A = X X^T takes singular
values in (0, 1] near 1, between about 0.7 and 1.2, and never to it.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from layerwise.methods.base import OfGradients, Scale, Steps, descended
from layerwise.networks.base import Layers, View

# a, b, c of https://kellerjordan.github.io/posts/muon, the steepest at zero of those that stay near one.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
# Below this norm a momentum counts as zero (torch.optim.Muon).
SMALLEST_NORM = 1e-7


def newton_schulz(matrix: Tensor, steps: int) -> Tensor:
    """About U V^T of each matrix (S, V, m, n), in its own precision."""
    a, b, c = COEFFICIENTS
    s, v, m, n = matrix.shape
    x = matrix if m <= n else matrix.mT
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
    x = (x / norm.clamp(min=SMALLEST_NORM)).flatten(0, 1)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.unflatten(0, (s, v))
    return x if m <= n else x.mT


class Muon(OfGradients):
    """As torch.optim.Muon, with Nesterov's momentum and without weight decay.

    ``bfloat16`` rounds the Newton-Schulz steps to it, as the original does, where they would else be
    of the weights' own precision. It keeps three digits, so that a last bit of the momentum can change
    an entry of a step by 1e-2 of itself.
    """

    scale: ClassVar[Scale] = "own"

    def __init__(
        self, steps: Steps, momentum: float, newton_schulz_steps: int, bfloat16: bool
    ) -> None:
        super().__init__(steps)
        self._momentum, self._count, self._bfloat16 = momentum, newton_schulz_steps, bfloat16

    def start(self, weights: Layers) -> Layers:
        """An average of gradients for each layer, from zero."""
        return tuple(torch.zeros_like(layer) for layer in weights)

    def step(self, views: Sequence[View], memory: Layers) -> tuple[Layers, Layers]:
        """As :class:`~layerwise.methods.base.Update`."""
        (view,) = views
        ways, memory = self.directions(view.gradients, memory)
        lr = tuple(_of_shape(*pair) for pair in zip(self.steps.lr, ways, strict=True))
        return descended(view.weights, lr, ways), memory

    def directions(self, gradients: Layers, memory: Layers) -> tuple[Layers, Layers]:
        """About U V^T of each layer's average, one step of it ahead, and the averages."""
        pairs = zip(gradients, memory, strict=True)
        averages = tuple(torch.lerp(past, own, 1 - self._momentum) for own, past in pairs)
        ahead = zip(gradients, averages, strict=True)
        return tuple(self._way(torch.lerp(*pair, self._momentum)) for pair in ahead), averages

    def _way(self, momentum: Tensor) -> Tensor:
        rounded = momentum.bfloat16() if self._bfloat16 else momentum
        return newton_schulz(rounded, self._count).to(momentum.dtype)


def _of_shape(lr: Tensor, way: Tensor) -> Tensor:
    """lr sqrt(max(1, rows / columns)), rounded once: a last bit counts, see :class:`Muon`."""
    rows, columns = way.shape[-2:]
    return (lr.double() * max(1, rows / columns) ** 0.5).to(lr)
