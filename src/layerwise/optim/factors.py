"""Kronecker factors of linear layers, summed by hooks while a model is trained as usual."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from layerwise.optim.layers import Layer


@dataclass
class Sums:
    """Sums over the rows that a layer saw."""

    rows: int
    inputs: Tensor  # of a a^T
    outputs: Tensor | None  # of J^T J or g g^T

    def add(self, other: "Sums") -> None:
        """Take other rows in."""
        self.rows += other.rows
        self.inputs = self.inputs + other.inputs
        if self.outputs is not None and other.outputs is not None:
            self.outputs = self.outputs + other.outputs


class FactorHooks:
    """Sums of a a^T and of J^T J or g g^T for each layer, over the passes since the last clear().

    A pass is a call of the model. It counts once its loss is backpropagated, and not before, so
    evaluation leaves the sums alone in any mode.

    ``wanted(layer)`` names the output factor to sum ("gauss_newton", "empirical" or "none", see
    KFAC), and is None if the layer needs no factors now.
    """

    # True while Jacobians are taken, on behalf of any instance: those passes are no training.
    _measuring = False

    def __init__(
        self, model: nn.Module, layers: Sequence[Layer], wanted: Callable[[Layer], str | None]
    ) -> None:
        self.sums: dict[Layer, Sums] = {}
        self._wanted = wanted
        self._pass: dict[Layer, tuple[Tensor, GradientEdge]] | None = None  # None outside a pass
        self._handles = [
            model.register_forward_pre_hook(self._start_pass),
            *(layer.module.register_forward_hook(partial(self._visit, layer)) for layer in layers),
            model.register_forward_hook(self._end_pass),
        ]

    def clear(self) -> None:
        """Forget the sums."""
        self.sums.clear()

    def close(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()

    def _start_pass(self, model: nn.Module, inputs: Any) -> None:
        self._pass = {}

    def _visit(self, layer: Layer, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if self._pass is None or not output.requires_grad or self._wanted(layer) is None:
            return
        if layer in self._pass:
            raise RuntimeError(
                f"Layer '{layer.name}' is used twice in one forward pass, and KFAC does not "
                "support shared weights."
            )
        if output.ndim != 2:
            raise RuntimeError(
                f"Layer '{layer.name}' got an input with {output.ndim} dimensions, and KFAC "
                "supports 2: samples and features."
            )
        # An edge, because an in-place activation would change what the tensor itself stands for.
        self._pass[layer] = (inputs[0].detach(), get_gradient_edge(output))

    def _end_pass(self, model: nn.Module, inputs: Any, output: Any) -> None:
        visited, self._pass = self._pass or {}, None
        edges = {layer: edge for layer, (_, edge) in visited.items()}
        exact = {k: edge for k, edge in edges.items() if self._wanted(k) == "gauss_newton"}
        FactorHooks._measuring = True
        try:
            grams = jacobian_grams(output, exact)
        finally:
            FactorHooks._measuring = False
        for layer, (a, edge) in visited.items():
            # The hook must not hold the edge: the cycle would outlive the pass.
            count = partial(self._count, layer, a, grams.get(layer), edge.output_nr)
            edge.node.register_prehook(count)

    def _count(
        self, layer: Layer, a: Tensor, gram: Tensor | None, output_nr: int, gradients: Any
    ) -> None:
        """Sum a pass when the gradient of its loss reaches the layer's output."""
        if FactorHooks._measuring:
            return
        if self._wanted(layer) == "empirical":
            # In a mean over samples each gradient carries a factor 1 / n.
            g = len(a) * gradients[output_nr].detach()
            gram = g.mT @ g
        a = layer.augmented(a)
        new = Sums(len(a), a.mT @ a, gram)
        if layer in self.sums:
            self.sums[layer].add(new)
        else:
            self.sums[layer] = new


def jacobian_grams(output: Any, edges: Mapping[Layer, GradientEdge]) -> dict[Layer, Tensor]:
    """For each edge the sum of J^T J over samples, J = d output / d (a sample's row at the edge).

    output has shape (samples, ...), and an edge's value (samples, d_out); the result is
    (d_out, d_out), zero where the output does not depend on the edge. It takes a backward pass for
    each of a sample's outputs, and relies on a sample's outputs depending on its own row alone.
    """
    if not edges:
        return {}
    if not isinstance(output, Tensor) or output.ndim == 0:
        raise RuntimeError(
            f"The model returned {type(output).__name__}, and precondition_outputs = "
            "'gauss_newton' needs one tensor of shape (samples, outputs)."
        )
    grams = {
        k: k.module.weight.new_zeros(k.module.out_features, k.module.out_features) for k in edges
    }
    for column in output.reshape(len(output), -1).unbind(dim=1):
        jacobians = torch.autograd.grad(
            column.sum(), list(edges.values()), retain_graph=True, allow_unused=True
        )
        for layer, J in zip(edges, jacobians, strict=True):
            if J is not None:
                grams[layer] += J.mT @ J
    return grams
