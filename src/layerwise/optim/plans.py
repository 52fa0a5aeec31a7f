"""A step, worked out before anything is changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from layerwise.optim.gathering import Gathered
from layerwise.optim.layers import Layer, factor_dtype
from layerwise.optim.precision import rounding_of_step
from layerwise.optim.scaling import GradientScaling
from layerwise.optim.sums import Sums
from layerwise.optim.update import State, direction, with_inverses, with_new_factors
from layerwise.optim.workers import check_workers, size_of, summed


@dataclass(frozen=True)
class Plan:
    """The layer's next state, and for each parameter the direction to go against.

    ``rounding`` is by how much, of 1, ``precision`` changes a direction; 0 if that is the factors'.
    """

    layer: Layer
    state: State
    directions: list[tuple[nn.Parameter, Tensor]]
    precision: torch.dtype
    rounding: float


@dataclass(frozen=True, eq=False)
class Step:
    """What a step of all layers is worked out from."""

    layers: Sequence[Layer]
    gathered: Mapping[Layer, Gathered]  # what belongs to the gradients that there are now
    partly_seen: Collection[Layer]  # whose gradients are not of passes alone that ended
    states: Mapping[Tensor, State]
    group_of: Mapping[Tensor, Mapping[str, Any]]
    undue: Mapping[Layer, int]  # the latest of a layer's steps that was to gather nothing
    scaling: GradientScaling
    workers: ProcessGroup | None

    def plans(self, problems: Sequence[str]) -> list[Plan]:
        """The steps of all layers that have a gradient.

        RuntimeError with the first of the layers' and the given problems, if there are any, or if
        a factor is not positive definite; on all workers alike.
        """
        stepped = [layer for layer in self.layers if trained(layer)]
        problems = [*self._problems(stepped), *problems]
        if self.workers is not None:
            # Current sums belong to a gradient that is not zero, so their layers are stepped.
            states = [(layer in stepped) + (layer in self.gathered) for layer in self.layers]
            check_workers(problems, states, self.workers)
        if problems:
            raise RuntimeError(problems[0])
        return [self._plan(layer) for layer in stepped]

    def _state(self, layer: Layer) -> State:
        return self.states.get(layer.held[0], {})

    def _problems(self, stepped: Sequence[Layer]) -> list[str]:
        problems = []
        for layer in self.layers:
            problem = None
            if not layer.intact:
                problem = (
                    "was pruned, reparametrised or given other parameters after KFAC was made: "
                    "make KFAC anew"
                )
            elif layer in stepped and layer in self.partly_seen:
                problem = (
                    "has a gradient to which a backward pass has added that failed, or that came "
                    "before KFAC was made: clear gradients first"
                )
            elif layer in stepped:
                problem = problem_of(
                    self.gathered.get(layer),
                    self._state(layer),
                    self.group_of[layer.held[0]]["update_interval"],
                    self.undue.get(layer),
                    self.scaling,
                )
            if problem is not None:
                problems.append(f"Layer '{layer.name}' {problem}.")
        return problems

    def _plan(self, layer: Layer) -> Plan:
        gathered = self.gathered.get(layer)
        precision = factor_dtype(layer.weight) if gathered is None else gathered.precision
        scale = self.scaling.scale
        return plan(layer, self._state(layer), self._sums(layer), self.group_of, scale, precision)

    def _sums(self, layer: Layer) -> Sums | None:
        """Over the rows of all workers, in the units of the samples' own losses."""
        gathered = self.gathered.get(layer)
        sums = None if gathered is None else gathered.sums
        if gathered is None or sums is None:
            return None
        if self.workers is not None:
            sums = summed(sums, self.workers)
        if gathered.options["precondition_outputs"] == "empirical":
            sums = sums.of_mean_loss(self.scaling.scale, size_of(self.workers))
        return sums


def trained(layer: Layer) -> list[nn.Parameter]:
    """The layer's parameters that have a gradient; none if it is zero, as after zero_grad."""
    gradients = [(p, p.grad) for p in layer.held if p.grad is not None]
    return [p for p, _ in gradients] if any(bool(g.any()) for _, g in gradients) else []


def problem_of(
    gathered: Gathered | None,
    state: State,
    update_interval: int,
    undue: int | None,
    scaling: GradientScaling,
) -> str | None:
    """Why the step of a layer with a gradient would be wrong, as the end of a sentence.

    ``undue`` is the latest of the layer's steps at which a pass was told to gather nothing.
    """
    if gathered is None:
        step = state.get("step", 0)
        if "input_inverse" in state and (step % update_interval or undue == step):
            return None
        return (
            "has a gradient, but since it was last cleared KFAC saw no call of the whole model, as "
            "in model(x), that led to it: call the model itself, compile it after KFAC is made, "
            "checkpoint without use_reentrant, and change gradients in place"
        )
    if gathered.refusal is not None:
        return gathered.refusal
    if gathered.options["precondition_outputs"] == "empirical" and not scaling.known:
        return (
            "has precondition_outputs = 'empirical', which cannot tell the scale that "
            "GradScaler.unscale_ took off: leave that to GradScaler.step"
        )
    return None


def plan(
    layer: Layer,
    state: State,
    sums: Sums | None,
    group_of: Mapping[Tensor, Mapping[str, Any]],
    scale: float,
    precision: torch.dtype,
) -> Plan:
    """The layer's step by new sums, or by the inverses in its state.

    Gradients are ``scale`` times the loss's and were rounded to ``precision``. RuntimeError, with
    the layer's name, for a factor that is not positive definite.
    """
    parameters = trained(layer)
    options = group_of[layer.held[0]]
    columns = layer.columns(parameters)
    if sums is not None:
        state = with_new_factors(state, sums, options["factor_decay"])
    if sums is not None or tuple(state["columns"]) != columns:
        state = with_inverses(layer, state, options, columns)
    parts = [signed_gradient(p, group_of[p]["maximize"], scale) for p in parameters]
    widths = [part.shape[1] for part in parts]
    gradient = torch.cat(parts, dim=1)
    split = direction(state, gradient).split(widths, dim=1)
    rounding = 0.0
    if precision != factor_dtype(layer.weight):
        errors = rounding_of_step(state, gradient, precision).split(widths, dim=1)
        pairs = zip(errors, split, strict=True)
        rounding = max((e.norm() / part.norm()).item() for e, part in pairs if part.any())
    shaped = [part.reshape(p.shape) for p, part in zip(parameters, split, strict=True)]
    directions = list(zip(parameters, shaped, strict=True))
    return Plan(layer, state, directions, precision, rounding)


def signed_gradient(parameter: nn.Parameter, maximize: bool, scale: float) -> Tensor:
    """What to descend along, (d_out, columns) in the factors' precision."""
    assert parameter.grad is not None
    gradient = parameter.grad.reshape(len(parameter), -1).to(factor_dtype(parameter))
    if scale != 1.0:
        gradient = gradient / scale
    return -gradient if maximize else gradient
