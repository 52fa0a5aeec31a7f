"""Which passes count for which gradients.

Forward passes leave notes in the autograd graph, and nothing else: at the node of a layer's output
its inputs, which backward keeps anyway, and at the node of the model's output a hook. A pass that
is not backpropagated takes its notes with it. When a gradient reaches the model's output, the hook
looks which layers' .grad this backward pass will add to – none, if it was taken by
torch.autograd.grad, for an attack on the inputs or for a penalty – and gathers their factors. They
are kept once .grad is added to, for as long as that gradient is there.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils._pytree import tree_leaves

from layerwise.optim import engine
from layerwise.optim.gathering import (
    Calls,
    Gathered,
    Options,
    Pending,
    gather_outputs,
    gathered,
    has_gradient,
    refusal_of,
)
from layerwise.optim.graph import calls_below, note_call
from layerwise.optim.layers import Layer, factor_dtype
from layerwise.optim.precision import coarser, without_autocast


@dataclass(eq=False)
class Pass:
    """A call of the model that returned tensors."""

    returned: tuple[str, int]  # the type's name, and how many tensors in it need a gradient
    hooked: bool  # whether forward hooks of the model itself came after, and may have changed that
    pending: dict[Layer, Pending] = field(default_factory=dict)  # of the present backward pass


@dataclass(frozen=True, eq=False)
class Begun:
    """A parameter's gradient when a backward pass began, or KFAC was made."""

    parameter: Tensor
    gradient: weakref.ref[Tensor] | None
    version: int | None  # None where the pass came before

    @classmethod
    def of(cls, parameter: Tensor, came_before: bool = False) -> "Begun":
        """As it is now."""
        gradient = parameter.grad
        if gradient is None:
            return cls(parameter, None, None if came_before else 0)
        return cls(parameter, weakref.ref(gradient), None if came_before else gradient._version)

    @property
    def has_added(self) -> bool:
        """Whether the gradient that there is now may have a part of the pass."""
        now = self.parameter.grad
        same = now is not None and self.gradient is not None and now is self.gradient()
        if now is None or self.version is None:
            return same
        return not same or now._version != self.version


class Recorder:
    """Gathers the factors of a model's layers, for the gradients that they have now.

    ``wanted(layer)`` gives the options by which to gather, or None if the layer's next step needs
    no factors.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[Layer], wanted: Callable[[Layer], Options | None]
    ) -> None:
        self.gathered: dict[Layer, Gathered] = {}
        # Backward passes that have not ended, by number; and those before this.
        self._begun: dict[Layer, dict[int, list[Begun]]] = {
            layer: {-1: [Begun.of(p, came_before=True) for p in layer.held]} for layer in layers
        }
        self._keeps = threading.Lock()  # of one layer at a time
        # The hook below must not keep its optimiser alive.
        self._wanted = weakref.WeakMethod(wanted)
        self._model = model
        self._layers = layers
        self._layer_of = {module: layer for layer in layers for module in layer.modules}
        self._note_uncompiled = torch.compiler.disable(
            self._note, reason="KFAC needs the autograd nodes of its layers"
        )
        # Hooks of a module would be copied, pickled and scripted with the user's model.
        self._handle = torch.nn.modules.module.register_module_forward_hook(
            self._visit, with_kwargs=True
        )

    def current(self) -> dict[Layer, Gathered]:
        """What belongs to the gradients that the layers have now."""
        return {layer: found for layer, found in self.gathered.items() if found.current}

    def partly_seen(self) -> set[Layer]:
        """Layers with a gradient that is not of passes alone that were seen to their end."""
        for layer in self._begun:
            self._forget_cleared(layer)
        return {layer for layer, passes in self._begun.items() if passes}

    def close(self) -> None:
        """See no pass any more."""
        self._handle.remove()

    def _visit(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if module is not self._model and module not in self._layer_of:
            return
        if not torch.is_grad_enabled() or torch.compiler.is_exporting() or torch.jit.is_tracing():
            return
        self._note_uncompiled(module, args, kwargs, output)

    def _note(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        layer = self._layer_of.get(module)
        if layer is not None:
            note_call(self, layer, module, args[0] if args else kwargs["input"], output)
        if module is self._model:
            self._note_output(output)

    def _note_output(self, output: Any) -> None:
        fields = vars(output) if is_dataclass(output) else output
        tensors = [
            leaf
            for leaf in tree_leaves(fields)
            if isinstance(leaf, Tensor)
            and leaf.grad_fn is not None
            and not engine.transformed(leaf)
        ]
        # A loss among the outputs has no rows; its gradient goes on to the outputs that have.
        tensors = [tensor for tensor in tensors if tensor.ndim > 0] or tensors
        # Hooks for all modules, as KFAC's, run before those of a module.
        this = Pass((type(output).__name__, len(tensors)), bool(self._model._forward_hooks))
        for tensor in tensors:
            node, output_nr, *_ = get_gradient_edge(tensor)
            # The hook must hold neither tensor nor node: the cycle would outlive the pass.
            hook = partial(self._backpropagated, this, output_nr, tensor.detach())
            node.register_prehook(hook)

    def _backpropagated(
        self, this: Pass, output_nr: int, output: Tensor, gradients: Sequence[Tensor | None]
    ) -> None:
        """Gather factors when the loss's gradient reaches an output of the model."""
        gradient, wanted, here = gradients[output_nr], self._wanted(), engine.current_node()
        if gradient is None or wanted is None or (output.ndim > 0 and len(output) == 0):
            return
        if here is None:
            return
        options: dict[Layer, Options] = {}
        accumulators: dict[Node, Layer] = {}
        lead: dict[Layer, Tensor] = {}
        for layer in self._layers:
            nodes = {engine.accumulator(p): p for p in layer.held if p.requires_grad}
            reached = [p for node, p in nodes.items() if engine.runs(node)]
            asked = wanted(layer) if reached else None
            if asked is not None:
                options[layer], lead[layer] = asked, reached[0]
                accumulators |= dict.fromkeys(nodes, layer)
        if not options:
            return
        top = GradientEdge(here, output_nr, None)
        calls, strays = calls_below(self, top.node, options.keys(), accumulators)
        for layer in {call.layer for _, call in calls} | strays:
            met = this.pending.get(layer)
            if met is None or met.backward != engine.backward_id():
                self._expect(this, layer, options[layer], lead[layer], output)
        for layer in strays:
            this.pending[layer].refusal = (
                "is used outside its own call as well, and KFAC would leave that use out of its "
                "factors"
            )
        with torch.no_grad(), without_autocast(self._layers):
            found = self._take(this, calls, output)
            gather_outputs(this.pending, found, top, output, gradient.detach())

    def _expect(
        self, this: Pass, layer: Layer, options: Options, parameter: Tensor, output: Tensor
    ) -> None:
        """Keep what is gathered of the layer when this backward pass is over."""
        old = self.gathered.get(layer)
        continues = old is not None and old.current
        samples = len(output) if output.ndim else 0
        backward = engine.backward_id()
        precision = factor_dtype(layer.weight)
        pending = Pending(layer, options, backward, parameter, continues, samples, precision)
        this.pending[layer] = pending
        self._forget_cleared(layer)
        self._begun[layer].setdefault(backward, [Begun.of(p) for p in layer.held])
        engine.after_backward(partial(self._keep, this, pending))

    def _take(self, this: Pass, calls: Calls, output: Tensor) -> dict[Layer, Calls]:
        """Put the inputs of new calls into what is pending, and return these calls by layer."""
        found: dict[Layer, Calls] = {}
        for edge, call in calls:
            layer, pending = call.layer, this.pending[call.layer]
            met = call.counted is not None and call.counted[0] == pending.backward
            if met and call.counted is not None and call.counted[1] is this:
                continue  # reached from another output before
            refusal = refusal_of(call, pending, output, this.returned, this.hooked, met)
            pending.refusal = pending.refusal or refusal
            if pending.refusal is None and call.inputs is not None:
                rows = layer.input_rows(call.module, call.inputs)
                pending.inputs.append(rows.to(factor_dtype(layer.weight)))
                pending.precision = coarser(pending.precision, call.precision)
                found.setdefault(layer, []).append((edge, call))
            call.counted = (pending.backward, this)
            if not engine.keeps_graph():
                call.inputs = None
        return {layer: its for layer, its in found.items() if this.pending[layer].refusal is None}

    def _keep(self, this: Pass, pending: Pending) -> None:
        """The backward pass has added to the gradient, and its factors belong to that now."""
        layer = pending.layer
        this.pending.pop(layer, None)
        with self._keeps, torch.no_grad(), without_autocast(self._layers):
            self._begun[layer].pop(pending.backward, None)
            kept = gathered(pending, self.gathered.get(layer))
            if kept is not None:
                self.gathered[layer] = kept

    def _forget_cleared(self, layer: Layer) -> None:
        """Forget of passes that have not ended those that have no part in the layer's gradient."""
        there = has_gradient(layer)
        for backward, begun in list(self._begun[layer].items()):
            if not (there and any(each.has_added for each in begun)):
                self._begun[layer].pop(backward, None)
