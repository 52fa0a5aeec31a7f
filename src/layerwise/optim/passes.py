"""What a backward pass tells about the layers whose gradients it adds to.

Forward passes leave notes in the autograd graph, and nothing else: at the node of a layer's output
its inputs, which backward keeps anyway, and at the node of the model's output a hook. A pass that
is not backpropagated takes its notes with it. When a gradient reaches the model's output, the hook
looks which layers' .grad this backward pass will add to – none, if it was taken by
torch.autograd.grad, for an attack on the inputs or for a penalty – and gathers their factors. They
are kept when .grad is added to, for as long as that gradient is there.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.utils._pytree import tree_leaves

from layerwise.optim import engine
from layerwise.optim.curvature import hessian_roots
from layerwise.optim.layers import Layer, factor_dtype, is_used
from layerwise.optim.sums import Sums, input_gram, output_gram

Options = Mapping[str, Any]


@dataclass(eq=False)
class Call:
    """A layer's call, noted at the node of its output."""

    layer: Layer
    module: nn.Module
    inputs: Tensor | None  # None once it was counted and the graph is freed
    below: Node | None  # of the inputs
    counted: tuple[int, "Pass"] | None = None  # in which backward pass, and for which output


@dataclass(eq=False)
class Pending:
    """What a backward pass has seen of a layer before it adds to the layer's gradient."""

    layer: Layer
    options: Options
    backward: int
    continues: bool  # whether there is a gradient to add to, whose factors are gathered
    samples: int
    inputs: list[Tensor] = field(default_factory=list)  # a call each, (samples, positions, d_in)
    gradients: list[Tensor] = field(default_factory=list)  # likewise, by the call's output
    outputs: Tensor | None = None  # sum of J^T H J
    refusal: str | None = None

    def sums(self) -> Sums | None:
        """Sums over the rows of all calls; None if the layer is refused."""
        if self.refusal is not None:
            return None
        sharing = self.options["sharing"]
        rows, inputs = input_gram(self.inputs, sharing)
        outputs = self.outputs
        if self.options["precondition_outputs"] == "empirical":
            outputs = output_gram(self.gradients, sharing)
        return Sums(self.samples, rows, inputs, outputs)


@dataclass(eq=False)
class Pass:
    """A call of the model that returned tensors."""

    returned: str  # the type's name
    tensors: int  # that need a gradient
    pending: dict[Layer, Pending] = field(default_factory=dict)  # of the latest backward pass


@dataclass(frozen=True)
class Gathered:
    """The sums that belong to a gradient, or why there are none."""

    sums: Sums | None
    refusal: str | None
    options: Options
    backward: int
    layer: Layer
    parameter: Tensor
    gradient: weakref.ref[Tensor]

    @property
    def current(self) -> bool:
        """Whether the parameter still has this gradient, and it was not set to zero."""
        now = self.parameter.grad
        if now is None or now is not self.gradient():
            return False
        return any(p.grad is not None and bool(p.grad.any()) for p in self.layer.held)


class Recorder:
    """Gathers the factors of a model's layers, for the gradients that they have now.

    ``wanted(layer)`` gives the options by which to gather, or None if the layer's next step needs
    no factors.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[Layer], wanted: Callable[[Layer], Options | None]
    ) -> None:
        self.gathered: dict[Layer, Gathered] = {}
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

    def close(self) -> None:
        """See no pass any more."""
        self._handle.remove()

    def _visit(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if module is not self._model and module not in self._layer_of:
            return
        if not torch.is_grad_enabled() or torch.compiler.is_exporting() or torch.jit.is_tracing():
            return
        if torch.compiler.is_compiling():
            self._note_uncompiled(module, args, kwargs, output)
        else:
            self._note(module, args, kwargs, output)

    def _note(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if module in self._layer_of:
            self._note_call(module, args[0] if args else kwargs["input"], output)
        if module is self._model:
            self._note_output(output)

    def _note_call(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        layer = self._layer_of[module]
        if output.grad_fn is None or engine.transformed(output) or not is_used(layer, module):
            return
        node, output_nr, *_ = get_gradient_edge(output)
        call = Call(layer, module, inputs.detach(), inputs.grad_fn)
        engine.notes(node).setdefault(self, {})[output_nr] = call

    def _note_output(self, output: Any) -> None:
        tensors = [
            leaf
            for leaf in tree_leaves(output)
            if isinstance(leaf, Tensor)
            and leaf.grad_fn is not None
            and not engine.transformed(leaf)
        ]
        # A loss among the outputs has no rows; its gradient goes on to the outputs that have.
        tensors = [tensor for tensor in tensors if tensor.ndim > 0] or tensors
        this = Pass(type(output).__name__, len(tensors))
        for tensor in tensors:
            node, output_nr, *_ = get_gradient_edge(tensor)
            # The hook must hold neither tensor nor node: the cycle would outlive the pass.
            node.register_prehook(partial(self._backpropagated, this, output_nr, tensor.detach()))

    def _backpropagated(
        self, this: Pass, output_nr: int, output: Tensor, gradients: Sequence[Tensor | None]
    ) -> None:
        """Gather factors when the loss's gradient reaches an output of the model."""
        gradient, wanted = gradients[output_nr], self._wanted()
        if gradient is None or wanted is None or (output.ndim > 0 and len(output) == 0):
            return
        options = {
            layer: asked
            for layer in self._layers
            if any(engine.accumulates(p) for p in layer.held)
            and (asked := wanted(layer)) is not None
        }
        if not options:
            return
        edge = GradientEdge(engine.current_node(), output_nr, None)
        calls, strays = self._calls_below(edge.node, options)
        with torch.no_grad():
            found = self._take(this, calls, options, output)
            for layer in strays:
                pending = self._pending(this, layer, options[layer], output)
                pending.refusal = (
                    "is used outside its own call as well, and KFAC would leave that use out of "
                    "its factors"
                )
            self._gather_outputs(this, edge, found, output, gradient.detach())

    def _calls_below(
        self, top: Node, layers: Mapping[Layer, Options]
    ) -> tuple[list[tuple[GradientEdge, Call]], set[Layer]]:
        """Calls of the layers in the graph below a node, and layers used there without a call."""
        leaves = {
            get_gradient_edge(p).node: layer
            for layer in layers
            for p in layer.held
            if p.requires_grad
        }
        calls, strays, seen, stack = [], set(), set(), [top]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in leaves:
                strays.add(leaves[node])
                continue
            noted = engine.notes(node).get(self, {})
            calls += [(GradientEdge(node, nr, None), call) for nr, call in noted.items()]
            if noted:  # below a call is what its inputs came from; its parameters are its own
                stack += [call.below for call in noted.values() if call.below is not None]
            else:
                stack += [below for below, _ in node.next_functions if below is not None]
        return [(edge, call) for edge, call in calls if call.layer in layers], strays

    def _take(
        self,
        this: Pass,
        calls: Sequence[tuple[GradientEdge, Call]],
        options: Mapping[Layer, Options],
        output: Tensor,
    ) -> dict[Layer, list[tuple[GradientEdge, Call]]]:
        """Put the inputs of new calls into what is pending, and return these calls by layer."""
        found: dict[Layer, list[tuple[GradientEdge, Call]]] = {}
        backward = engine.backward_id()
        for edge, call in calls:
            layer = call.layer
            if call.counted == (backward, this):  # reached from another output before
                continue
            pending = self._pending(this, layer, options[layer], output)
            pending.refusal = pending.refusal or refusal_of(this, call, pending, output)
            if call.inputs is not None and pending.refusal is None:
                rows = layer.input_rows(call.module, call.inputs)
                pending.inputs.append(rows.to(factor_dtype(layer.weight)))
                found.setdefault(layer, []).append((edge, call))
            call.counted = (backward, this)
            if not engine.keeps_graph():
                call.inputs = None
        return {layer: its for layer, its in found.items() if this.pending[layer].refusal is None}

    def _pending(self, this: Pass, layer: Layer, options: Options, output: Tensor) -> Pending:
        """What this backward pass has seen of the layer, to be kept when it adds to .grad."""
        backward = engine.backward_id()
        pending = this.pending.get(layer)
        if pending is None or pending.backward != backward:
            old = self.gathered.get(layer)
            continues = old is not None and old.current
            samples = len(output) if output.ndim else 0
            pending = Pending(layer, options, backward, continues, samples)
            this.pending[layer] = pending
            parameter = next(p for p in layer.held if engine.accumulates(p))
            engine.after_backward(partial(self._keep, this, pending, parameter))
        return pending

    def _gather_outputs(
        self,
        this: Pass,
        top: GradientEdge,
        found: dict[Layer, list[tuple[GradientEdge, Call]]],
        output: Tensor,
        gradient: Tensor,
    ) -> None:
        """Output factors of the found layers, or hooks that wait for the gradients they need."""
        for layer, calls in found.items():
            pending = this.pending[layer]
            if pending.options["precondition_outputs"] == "empirical":
                for edge, call in calls:
                    take = partial(take_gradient, call.layer, call.module, pending.gradients)
                    if edge.node is top.node:  # this node's hooks run now
                        take(gradient if edge.output_nr == top.output_nr else None)
                    else:
                        wait_for_gradient(edge, take)
        for kind in ("gauss_newton", "sampled"):
            for loss in ("squared_error", "cross_entropy"):
                of_kind = {
                    layer: calls
                    for layer, calls in found.items()
                    if this.pending[layer].options["precondition_outputs"] == kind
                    and this.pending[layer].options["loss"] == loss
                }
                if of_kind:
                    self._backpropagate_roots(
                        this, top, of_kind, hessian_roots(loss, kind == "sampled", output, gradient)
                    )

    def _backpropagate_roots(
        self,
        this: Pass,
        top: GradientEdge,
        found: dict[Layer, list[tuple[GradientEdge, Call]]],
        roots: Any,
    ) -> None:
        """Sum J^T v v^T J for each of the vectors v that stand for the loss's Hessian."""
        edges = [edge for calls in found.values() for edge, _ in calls]
        try:
            for v in roots:
                gradients = iter(
                    torch.autograd.grad(
                        [top], edges, grad_outputs=[v], retain_graph=True, allow_unused=True
                    )
                )
                for layer, calls in found.items():
                    dtype = factor_dtype(layer.weight)
                    rows = [
                        layer.output_rows(call.module, g.to(dtype))
                        for (_, call), g in zip(calls, gradients, strict=False)
                        if g is not None
                    ]
                    pending = this.pending[layer]
                    if pending.outputs is None:
                        size = len(layer.weight)
                        pending.outputs = layer.weight.new_zeros(size, size, dtype=dtype)
                    if rows:
                        pending.outputs += output_gram(rows, pending.options["sharing"])
        except (RuntimeError, ValueError) as error:
            reason = str(error).split("\n")[0].rstrip(".")
            for layer in found:
                this.pending[layer].refusal = f"has no output factor: {reason}"

    def _keep(self, this: Pass, pending: Pending, parameter: Tensor) -> None:
        """The backward pass has added to the gradient, and its factors belong to that now."""
        this.pending.pop(pending.layer, None)
        if parameter.grad is None:
            return
        new, old = pending.sums(), self.gathered.get(pending.layer)
        refusal = pending.refusal
        if old is not None and (pending.continues or old.backward == pending.backward):
            refusal = old.refusal or refusal
            if old.options != pending.options:
                refusal = refusal or "has a gradient of passes with different options"
            new = None if refusal or new is None or old.sums is None else old.sums + new
        self.gathered[pending.layer] = Gathered(
            new,
            refusal,
            pending.options,
            pending.backward,
            pending.layer,
            parameter,
            weakref.ref(parameter.grad),
        )


def refusal_of(this: Pass, call: Call, pending: Pending, output: Tensor) -> str | None:
    """Why a call's factors would be wrong, as the end of a sentence that begins with the layer."""
    kind, inputs = pending.options["precondition_outputs"], call.inputs
    if output.ndim == 0:
        return "led to a single number, and KFAC needs model outputs of shape (samples, outputs)"
    if kind in ("gauss_newton", "sampled") and this.tensors > 1:
        return (
            f"is in a model that returned {this.returned} of {this.tensors} tensors that need a "
            f"gradient, and precondition_outputs = '{kind}' needs one tensor of shape (samples, "
            "outputs)"
        )
    if call.counted is not None and call.counted[0] == pending.backward:
        return "led to two outputs of separate calls of the model, one by way of the other"
    if call.counted is not None and pending.continues and kind == "empirical":
        return (
            "was backpropagated twice through one pass, and precondition_outputs = 'empirical' "
            "needs one gradient for each sample: add up the losses first"
        )
    expected = call.module.weight.ndim if isinstance(call.module, nn.Conv1d | nn.Conv2d) else None
    if inputs is None or inputs.ndim < 2 or (expected is not None and inputs.ndim != expected):
        return f"got an input of shape {tuple(inputs.shape) if inputs is not None else ()}, without samples"
    if len(inputs) != len(output) or len(inputs) != pending.samples:
        return (
            f"got {len(inputs)} rows of inputs where the model returned {len(output)} samples: "
            "KFAC needs inputs of shape (samples, positions..., features) to tell how it shares "
            "its weights"
        )
    return None


def take_gradient(
    layer: Layer, module: nn.Module, taken: list[Tensor], gradient: Tensor | None
) -> None:
    """Keep the loss's gradient by the output of a call, (samples, positions, d_out)."""
    if gradient is not None:
        rows = layer.output_rows(module, gradient.detach())
        taken.append(rows.to(factor_dtype(layer.weight)))


def wait_for_gradient(edge: GradientEdge, take: Callable[[Tensor | None], None]) -> None:
    """Take the gradient that reaches an edge later in this backward pass."""
    backward = engine.backward_id()

    def hook(gradients: Sequence[Tensor | None]) -> None:
        if engine.backward_id() == backward:
            handle.remove()
            take(gradients[edge.output_nr])

    handle = edge.node.register_prehook(hook)
