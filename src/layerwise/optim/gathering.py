"""What a backward pass gathers of a layer, and the gradient to which that then belongs."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

from layerwise.optim import engine
from layerwise.optim.curvature import hessian_roots
from layerwise.optim.graph import Call
from layerwise.optim.layers import Layer, factor_dtype
from layerwise.optim.precision import coarser
from layerwise.optim.sums import Sums, input_gram, output_gram

Options = Mapping[str, Any]
Calls = list[tuple[GradientEdge, Call]]


@dataclass(eq=False)
class Pending:
    """A layer's rows in a backward pass that has not yet added to the layer's gradient."""

    layer: Layer
    options: Options
    backward: int
    parameter: Tensor  # to whose gradient the pass adds
    continues: bool  # whether it has a gradient already, with sums
    samples: int
    precision: torch.dtype  # the coarsest of a call's, or that of the factors
    inputs: list[Tensor] = field(default_factory=list)  # a call each, (samples, positions, d_in)
    gradients: list[Tensor] = field(default_factory=list)  # likewise, by the call's output
    outputs: Tensor | None = None  # sum of J^T H J
    refusal: str | None = None  # the end of a sentence that begins with the layer

    def sums(self) -> Sums | None:
        """Sums over the rows of all calls; None if the layer is refused."""
        if self.refusal is not None:
            return None
        sharing = self.options["sharing"]
        rows, inputs = input_gram(self.inputs, sharing, self.layer.holds_bias)
        outputs = self.outputs
        if self.options["precondition_outputs"] == "empirical":
            outputs = output_gram(self.gradients, sharing)
        return Sums(self.samples, rows, inputs, outputs)


@dataclass(eq=False)
class Gathered:
    """The sums that belong to a gradient, or why there are none."""

    layer: Layer
    sums: Sums | None
    refusal: str | None
    options: Options
    backward: int
    parameter: Tensor
    precision: torch.dtype
    gradient: weakref.ref[Tensor]
    cleared: bool = False  # set to zero before something else was added

    @property
    def in_place(self) -> bool:
        """Whether the parameter still has this gradient, of whatever value."""
        now = self.parameter.grad
        return now is not None and now is self.gradient()

    @property
    def current(self) -> bool:
        """Whether the parameter still has this gradient, and the layer's was not set to zero."""
        return not self.cleared and self.in_place and has_gradient(self.layer)


def has_gradient(layer: Layer) -> bool:
    """Whether a parameter of the layer has a gradient that is not zero."""
    return any(p.grad is not None and bool(p.grad.any()) for p in layer.held)


def watch(found: Gathered) -> None:
    """See from now on whether the gradient is set to zero before something is added to it.

    What is added need not come from the model, as a penalty's gradient does not.
    """
    reference = weakref.ref(found)

    def look(_: Any) -> None:
        watched = reference()
        if watched is not None and watched.in_place and not has_gradient(watched.layer):
            watched.cleared = True

    nodes = [engine.accumulator(p) for p in found.layer.held if p.requires_grad]
    handles = [node.register_prehook(look) for node in nodes]
    weakref.finalize(found, unwatch, nodes, handles).atexit = False


def unwatch(nodes: list[Node], handles: list[Any]) -> None:
    """Take the hooks off the nodes, which are held until then."""
    for handle in handles:
        handle.remove()


def continues(old: Gathered, pending: Pending) -> bool:
    """Whether the pass has added to the gradient that there was, or put the sum in its place."""
    return not old.cleared and (pending.continues or old.in_place)


def gathered(pending: Pending, old: Gathered | None) -> Gathered | None:
    """What belongs to the gradient after the pass; None if the pass added nothing to it."""
    gradient = pending.parameter.grad
    if gradient is None:
        return None
    sums, refusal, precision = pending.sums(), pending.refusal, pending.precision
    if old is not None and (old.backward == pending.backward or continues(old, pending)):
        refusal, precision = old.refusal or refusal, coarser(old.precision, precision)
        if old.options != pending.options:
            refusal = refusal or "has a gradient of passes with different options"
        sums = None if refusal or sums is None or old.sums is None else old.sums + sums
    found = Gathered(
        pending.layer,
        sums,
        refusal,
        pending.options,
        pending.backward,
        pending.parameter,
        precision,
        weakref.ref(gradient),
    )
    watch(found)
    return found


def gather_outputs(
    pendings: Mapping[Layer, Pending],
    found: Mapping[Layer, Calls],
    top: GradientEdge,
    output: Tensor,
    gradient: Tensor,
) -> None:
    """Output factors of calls below the model's output, whose gradient has just come in.

    Those of loss gradients by a call's output are taken as these come in, later in the pass.
    """
    check_order(found, pendings, top, output)
    of_roots: dict[tuple[str, str], dict[Layer, Calls]] = {}
    for layer, calls in found.items():
        options = pendings[layer].options
        kind, loss = options["precondition_outputs"], options["loss"]
        if kind in ("gauss_newton", "sampled"):
            of_roots.setdefault((kind, loss), {})[layer] = calls
        elif kind == "empirical":
            for edge, call in calls:
                take = partial(take_gradient, call, pendings[layer].gradients)
                if edge.node is not top.node:
                    wait_for_gradient(edge, take)
                elif edge.output_nr == top.output_nr:  # this node's hooks run now
                    take(gradient)
    for (kind, loss), calls_of in of_roots.items():
        roots = hessian_roots(loss, kind == "sampled", output, gradient)
        try:
            backpropagate(roots, top, calls_of, pendings)
        except (RuntimeError, ValueError) as error:
            for layer in calls_of:
                pendings[layer].refusal = f"has no output factor: {first_line(error)}"


def backpropagate(
    roots: Iterable[Tensor],
    top: GradientEdge,
    found: Mapping[Layer, Calls],
    pendings: Mapping[Layer, Pending],
) -> None:
    """Sum J^T v v^T J over the vectors v by the model's output, J = d output / d (call's output).

    It relies on a sample's outputs depending on that sample's rows alone.
    """
    edges = [edge for calls in found.values() for edge, _ in calls]
    grams = {}
    for layer in found:
        size = len(layer.weight)
        grams[layer] = layer.weight.new_zeros(size, size, dtype=factor_dtype(layer.weight))
    for v in roots:
        products = torch.autograd.grad(
            [top], edges, grad_outputs=[v], retain_graph=True, allow_unused=True
        )
        by_edge = iter(products)
        for layer, calls in found.items():
            rows: list[Tensor] = []
            for _, call in calls:
                take_gradient(call, rows, next(by_edge))
            if rows:
                grams[layer] += output_gram(rows, pendings[layer].options["sharing"])
    for layer, gram in grams.items():
        pendings[layer].outputs = gram


def take_gradient(call: Call, taken: list[Tensor], gradient: Tensor | None) -> None:
    """Append a gradient by a call's output as (samples, positions, d_out)."""
    if gradient is not None:
        rows = call.layer.output_rows(call.module, gradient.detach())
        taken.append(rows.to(factor_dtype(call.layer.weight)))


def check_order(
    found: Mapping[Layer, Calls],
    pendings: Mapping[Layer, Pending],
    top: GradientEdge,
    output: Tensor,
) -> None:
    """Refuse layers whose inputs have samples in another dimension than the first.

    It matters to what is summed over positions, and is in doubt where these are as many as the
    samples. There the gradient of the first sample's output tells where that sample is.
    """
    edges, layers = [], []
    for layer, calls in found.items():
        if pendings[layer].options["sharing"] == "reduce":
            doubtful = [e for e, call in calls if in_doubt(call)]
            edges += doubtful
            layers += [layer] * len(doubtful)
    if not edges:
        return
    v = torch.zeros_like(output)
    v[0] = torch.linspace(1, 2, v[0].numel()).reshape(v[0].shape)
    try:
        gradients = torch.autograd.grad(
            [top], edges, grad_outputs=[v], retain_graph=True, allow_unused=True
        )
    except RuntimeError as error:
        for layer in layers:
            pendings[layer].refusal = f"has inputs of unknown order: {first_line(error)}"
        return
    for layer, gradient in zip(layers, gradients, strict=True):
        if gradient is None:
            continue
        sizes = gradient.float().square().sum(dim=-1)
        first, *others = (
            sizes.select(dim, 0).sum()
            for dim in range(sizes.ndim)
            if sizes.shape[dim] == len(sizes)
        )
        if any(bool(other > first) for other in others):
            pendings[layer].refusal = (
                "got inputs with samples in another dimension than the first, and KFAC needs "
                "inputs of shape (samples, positions..., features)"
            )


def in_doubt(call: Call) -> bool:
    """Whether another dimension of a linear layer's input could be that of the samples."""
    samples, *positions = call.shape[:-1]
    return isinstance(call.module, nn.Linear) and samples > 1 and samples in positions


def first_line(error: Exception) -> str:
    """What an error says, to go into a sentence."""
    return str(error).split("\n")[0].rstrip(".")


def wait_for_gradient(edge: GradientEdge, take: Callable[[Tensor | None], None]) -> None:
    """Take the gradient that reaches an edge later in this backward pass."""
    backward, output_nr = engine.backward_id(), edge.output_nr

    def hook(gradients: Sequence[Tensor | None]) -> None:
        if engine.backward_id() == backward:
            handle.remove()
            take(gradients[output_nr])

    handle = edge.node.register_prehook(hook)


def refusal_of(
    call: Call,
    pending: Pending,
    output: Tensor,
    returned: tuple[str, int],
    hooked: bool,
    same: bool,
) -> str | None:
    """Why a call's factors would be wrong, as the end of a sentence that begins with the layer.

    ``returned`` is the type that the model returned and how many tensors in it need a gradient,
    ``hooked`` whether the model has forward hooks of its own, and ``same`` whether this backward
    pass has met the call, by way of another call of the model.
    """
    kind, inputs = pending.options["precondition_outputs"], call.inputs
    kernel = call.module.weight.ndim if isinstance(call.module, nn.Conv1d | nn.Conv2d) else None
    if output.ndim == 0:
        return "led to a single number, and KFAC needs model outputs of shape (samples, outputs)"
    if kind in ("gauss_newton", "sampled") and returned[1] > 1:
        return (
            f"is in a model that returned {returned[0]} with {returned[1]} tensors that need a "
            f"gradient, and precondition_outputs = '{kind}' needs one tensor of shape (samples, "
            "outputs)"
        )
    if kind in ("gauss_newton", "sampled") and hooked:
        return (
            "is in a model with a forward hook of its own, which may change the output unseen: "
            "make KFAC with a module that calls the model, such as nn.Sequential(model), and call "
            "that"
        )
    if same:
        return "led to two outputs of separate calls of the model, one by way of the other"
    if call.counted is not None and pending.continues and kind == "empirical":
        return (
            "was backpropagated twice through one pass, and precondition_outputs = 'empirical' "
            "needs one gradient for each sample: add up the losses first"
        )
    if inputs is None:
        return "was backpropagated twice through one pass, whose inputs are gone"
    if inputs.ndim < 2 or (kernel is not None and inputs.ndim != kernel):
        return f"got an input of shape {tuple(inputs.shape)}, and KFAC needs samples in front"
    if len(inputs) != len(output) or len(inputs) != pending.samples:
        return (
            f"got {len(inputs)} rows of inputs where the model returned {len(output)} samples: "
            "KFAC needs inputs of shape (samples, positions..., features), to tell where weights "
            "are shared"
        )
    return None
