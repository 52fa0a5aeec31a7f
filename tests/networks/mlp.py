"""A network of any depth as a test of the protocol: W_L sigma(… sigma(W_1 x)), by autograd."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.networks.base import Layers, View
from layerwise.networks.factors import RunFactor, SeedFactor


class Batch(NamedTuple):
    """x (S, n, d_x) and y (S, n, d_y)."""

    x: Tensor
    y: Tensor


class MLPView(View):
    """The loss 0.5 E|y - f(x)|^2, with Q of every layer's inputs and P of its outputs on the batch."""

    def __init__(
        self, activation: Callable[[Tensor], Tensor], batch: Batch, weights: Layers
    ) -> None:
        self.activation, self.batch, self.weights = activation, batch, weights

    @cached_property
    def _pass(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:
        """Weights that require gradients, every layer's inputs and outputs, and f(x), (S, V, n, …)."""
        # Layers that a seed's variants share still have a gradient for each variant.
        variants = max(layer.shape[1] for layer in self.weights)
        weights = [
            layer.detach().expand(-1, variants, -1, -1).clone().requires_grad_()
            for layer in self.weights
        ]
        inputs, outputs, a = [], [], self.batch.x[:, None]
        for place, layer in enumerate(weights):
            inputs.append(a.detach())
            outputs.append(a @ layer.mT)
            last = place == len(weights) - 1
            a = outputs[-1] if last else self.activation(outputs[-1])
        return weights, inputs, outputs, a

    @cached_property
    def loss(self) -> Tensor:
        return 0.5 * (self.batch.y[:, None] - self._pass[3]).square().sum(dim=-1).mean(dim=-1)

    @cached_property
    def gradients(self) -> Layers:
        return torch.autograd.grad(self.loss.sum(), self._pass[0], retain_graph=True)

    def gradient(self, layer: int) -> Tensor:
        return self.gradients[layer]

    def inputs(self, layer: int) -> SeedFactor | RunFactor:
        a = self._pass[1][layer]
        moment = a.mT @ a / a.shape[-2]
        return RunFactor(moment, definite=True) if layer else SeedFactor(moment[:, 0])

    def natural(self, layer: int) -> Tensor:
        """P = E J^T J, with J the Jacobian of f by the layer's outputs."""
        _, _, outputs, out = self._pass
        if layer == len(self.weights) - 1:
            return self.gradients[layer]
        total = 0.0
        for column in out.unbind(dim=-1):
            (j,) = torch.autograd.grad(column.sum(), outputs[layer], retain_graph=True)
            total = total + j.mT @ j / j.shape[-2]
        return torch.linalg.solve(total, self.gradients[layer])

    def at(self, weights: Layers) -> "MLPView":
        return MLPView(self.activation, self.batch, weights)


class MLP:
    """A network of the protocol, whatever its depth."""

    offers = frozenset({"gradients", "inputs", "outputs"})

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        self._activation = activation

    def view(self, weights: Layers, batch: Batch) -> MLPView:
        return MLPView(self._activation, batch, weights)

    def observe(self, weights: Layers, batch: Batch) -> None:
        """Nothing is normalised."""
