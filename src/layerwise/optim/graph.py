"""Notes of layers' calls in the autograd graph, and how they are found again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from layerwise.optim import engine
from layerwise.optim.layers import Layer, is_used


@dataclass(eq=False)
class Call:
    """A layer's call, noted at the node of its output, which it lives as long as."""

    layer: Layer
    module: nn.Module
    inputs: Tensor | None  # None once they were counted and the graph is freed
    shape: torch.Size  # of the inputs
    below: Node | None  # of them
    precision: torch.dtype  # of the output, and so of gradients by the parameters
    counted: tuple[int, object] | None = None  # in which backward pass, of which output


def note_call(key: object, layer: Layer, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
    """Note a call, if its output leads to the layer's parameters. There is no work in it."""
    if output.grad_fn is None or engine.transformed(output) or not is_used(layer, module):
        return
    node, output_nr, *_ = get_gradient_edge(output)
    call = Call(layer, module, inputs.detach(), inputs.shape, inputs.grad_fn, output.dtype)
    engine.notes(node).setdefault(key, {})[output_nr] = call


def calls_below(
    key: object, top: Node, layers: Collection[Layer], accumulators: Mapping[Node, Layer]
) -> tuple[list[tuple[GradientEdge, Call]], set[Layer]]:
    """The layers' calls in the graph below a node, and the layers that it uses without a call.

    ``accumulators`` are the nodes at which the layers' gradients arrive.
    """
    calls, strays, seen, stack = [], set(), set(), [top]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in accumulators:
            strays.add(accumulators[node])
            continue
        noted: dict[int, Call] = engine.notes(node).get(key, {})
        calls += [(GradientEdge(node, nr, None), call) for nr, call in noted.items()]
        if noted:  # below a call are its inputs' nodes; its parameters are its own
            stack += [call.below for call in noted.values() if call.below is not None]
        else:
            stack += [below for below, _ in node.next_functions if below is not None]
    return [(edge, call) for edge, call in calls if call.layer in layers], strays
