"""KFAC, the layer-wise preconditioner of Eq. 5, as a torch.optim.Optimizer."""

import copy
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.optim import Optimizer

from layerwise.optim.groups import as_groups, check_groups, of_others, strays, with_names, without
from layerwise.optim.layers import Layer, find_layers, unwrapped
from layerwise.optim.options import GATHERING, check_arguments, check_options
from layerwise.optim.passes import Recorder
from layerwise.optim.plans import Step
from layerwise.optim.precision import warn_of_rounding, without_autocast
from layerwise.optim.scaling import GradientScaling
from layerwise.optim.update import check_state, in_factors_precision, move
from layerwise.optim.workers import process_group_of


class KFAC(Optimizer):
    """Kronecker-factored preconditioning of a model's layers, Eq. 5 of arXiv 2502.01763.

    Layers are nn.Linear, nn.Conv1d and nn.Conv2d, without their subclasses and grouped
    convolutions. A step on a layer's weight W (d_out, d_in), or [W b] (d_out, d_in + 1) with a
    trained bias, is

        W <- W - lr (P + output_damping I)^-1 grad_W (Q + damping I)^-1

    with Q = E[a a^T] over the layer's inputs a (a one is appended for the bias) and P chosen by
    ``precondition_outputs``:

    - "gauss_newton": P = E[J^T H J], J = d model output / d layer output and H = the Hessian of
      ``loss`` by the model's output: the identity for half the "squared_error". It costs a
      backward pass for each of the model's outputs.
    - "sampled": the same in expectation, from one backward pass of targets drawn from the model.
    - "empirical": P = E[g g^T], g = the gradient of a sample's loss by the layer's output.
    - "none": P = I.

    E averages over the samples whose gradients are in .grad: those that were backpropagated since
    it was last cleared, by whoever cleared it. The loss must be a mean over samples, and come from
    calling the model itself, as in model(x). Layer inputs are (samples, positions..., features) or
    a convolution's; ``sharing`` says how positions count (see layerwise.optim.sums).

    ``params`` is as in torch.optim. All options but ``other`` and ``process_group`` may differ
    among groups; what concerns factors must agree for a layer's weight and its bias.

    At every ``update_interval``-th step a layer's factors become factor_decay * factor +
    (1 - factor_decay) * new, starting from the first as it is, and are inverted. The steps between
    reuse the inverses. With ``pi_damping``, ``damping`` is that of P x Q, split between the two by
    their traces, and ``output_damping`` is not used.

    ``momentum`` averages the preconditioned gradients as torch.optim.SGD does, ``weight_decay`` is
    decoupled as in AdamW, ``maximize`` ascends.

    ``other`` makes the optimiser of all other parameters, for example
    ``lambda parameters: torch.optim.Adam(parameters, lr=1e-3)``. Its groups follow KFAC's in
    param_groups, where schedulers reach them, and its state is in KFAC's. ``process_group`` is
    that of data-parallel workers, unless the model is a DistributedDataParallel.

    Raises ValueError for arguments that cannot be used. A step raises RuntimeError, with the layer's
    name, and changes nothing, where a gradient's factors are not known or not positive definite.
    """

    _warned = False  # of what rounding does to steps, once for each instance

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        *,
        params: Iterable[Any] | None = None,
        damping: float = 1e-3,  # lambda_G in Eq. 5
        output_damping: float = 1e-3,
        pi_damping: bool = False,
        factor_decay: float = 0.0,
        update_interval: int = 1,
        precondition_outputs: str = "gauss_newton",
        loss: str = "squared_error",
        sharing: str = "expand",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
        other: Callable[[list[nn.Parameter]], Optimizer] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "damping": damping,
            "output_damping": output_damping,
            "pi_damping": pi_damping,
            "factor_decay": factor_decay,
            "update_interval": update_interval,
            "precondition_outputs": precondition_outputs,
            "loss": loss,
            "sharing": sharing,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        check_arguments(model, other)
        check_options(defaults)
        self._model, self._process_group = model, process_group
        groups = as_groups(model, params)
        given = [p for group in groups for p in group["params"]]
        self._layers, self._rest = find_layers(unwrapped(model), given)
        check_groups(unwrapped(model), groups, self._layers, defaults, other is not None)
        own = [with_names(without(group, set(self._rest))) for group in groups]
        self._own = len(own)  # how many of param_groups are not of the other optimiser
        super().__init__(own, defaults)
        self._other = of_others(self._rest, other)
        self._share_with_other()
        self._watch()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch.optim; what belongs to no layer goes to the other parameters' optimiser."""
        if not hasattr(self, "_recorder"):  # for the constructor, which has sorted the groups
            check_options(self.defaults | param_group)
            super().add_param_group(param_group)
            return
        (group,) = as_groups(self._model, [param_group])
        check_options(self.defaults | group)
        known = [p for old in self.param_groups for p in old["params"]]
        layers, rest = find_layers(unwrapped(self._model), known + group["params"])
        new_rest = [p for p in group["params"] if p in set(rest)]
        check_groups(
            unwrapped(self._model), [group], layers, self.defaults, self._other is not None
        )
        own, of_other = self.param_groups[: self._own], self.param_groups[self._own :]
        self.param_groups = own
        try:
            super().add_param_group(with_names(without(group, set(rest))))
        finally:
            self._own = len(own)
            self.param_groups = own + of_other
        if self._other is not None and new_rest:
            self._other.add_param_group({"params": new_rest})
            self._share_with_other()
        self._layers, self._rest = layers, rest
        self.close()
        self._watch()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step on every layer that has a gradient, and one of the other parameters' optimiser.

        A layer whose gradient is zero has none: it was cleared, or the batch was empty. A closure,
        if given, zeroes the gradients, backpropagates the loss and returns it; so does the step.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        scaling = GradientScaling.of(self)
        if scaling.overflowed:
            return loss
        group_of = self._group_of()
        for group in self.param_groups[: self._own]:
            check_options(group)
        with without_autocast(self._layers):
            plans = Step(
                self._layers,
                self._recorder.current(),
                self._recorder.partly_seen(),
                self.state,
                group_of,
                self._undue,
                scaling,
                process_group_of(self._model, self._process_group),
            ).plans([] if self._other is not None else strays(unwrapped(self._model), self._rest))
        if plans and not self._warned:
            worst = max(plans, key=lambda each: each.rounding)
            options = group_of[worst.layer.held[0]]
            self._warned = warn_of_rounding(worst.layer, worst.rounding, worst.precision, options)
        if self._other is not None:
            scaling.unscale(self._rest)
            self._other.step()
        for layer in self._layers:
            for parameter in layer.held:
                self.state[parameter].setdefault("step", 0)
        for each in plans:
            new, kept = dict(each.state), self.state[each.layer.held[0]]
            kept.clear()
            kept.update(new)
            for parameter, of_parameter in each.directions:
                move(parameter, of_parameter, group_of[parameter], self.state[parameter])
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As in torch.optim."""
        super().zero_grad(set_to_none)
        self._recorder.gathered.clear()  # belonged to these gradients

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch.optim. A run saved after a step goes on bitwise as it would have.

        Raises ValueError, with the layer's name, for a state of other shapes.
        """
        check_state(state_dict, self._layers, list(self._group_of()))
        # A copy, because tensors that two optimisers shared would be changed in place by both.
        state_dict = copy.deepcopy(state_dict)
        super().load_state_dict(state_dict)
        saved = [i for group in state_dict["param_groups"] for i in group["params"]]
        for index, parameter in zip(saved, self._group_of(), strict=False):
            kept = in_factors_precision(state_dict["state"].get(index, {}), parameter)
            if kept:  # torch.optim casts to the parameter's precision
                self.state[parameter].update(kept)

    def close(self) -> None:
        """See no pass of the model any more."""
        self._recorder.close()

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_model", "_layers", "_rest", "_own", "_other", "_warned")
        return super().__getstate__() | {key: getattr(self, key) for key in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups[: self._own]:
            for key, value in self.defaults.items():
                group.setdefault(key, value)
        if "_model" in state:  # a copy, which sees its own model's passes
            self._process_group = None
            self._watch()
        elif self._other is not None:
            of_other = self.param_groups[self._own :]
            self._other.__setstate__({"state": self.state, "param_groups": of_other})

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether GradScaler is to hand its scale over: squares of gradients need it."""
        own = self.param_groups[: self._own]
        return any(group["precondition_outputs"] == "empirical" for group in own)

    def _group_of(self) -> dict[Tensor, dict[str, Any]]:
        """The parameter group of each parameter, in order."""
        return {p: group for group in self.param_groups for p in group["params"]}

    def _watch(self) -> None:
        """Gather factors from now on."""
        self._undue: dict[Layer, int] = {}  # at which of its steps a layer last needed no factors
        self._recorder = Recorder(unwrapped(self._model), self._layers, self._wanted)
        weakref.finalize(self, self._recorder.close).atexit = False

    def _share_with_other(self) -> None:
        """One state and one list of groups hold both optimisers', as torch.optim's helpers expect."""
        if self._other is not None:
            self.state.update(self._other.state)
            self._other.state = self.state
            self.param_groups = self.param_groups[: self._own] + self._other.param_groups

    def _wanted(self, layer: Layer) -> dict[str, Any] | None:
        """How to gather the factors for the layer's next step, or None between updates."""
        lead = layer.held[0]
        state, group = self.state.get(lead, {}), self._group_of()[lead]
        step = state.get("step", 0)
        if step % group["update_interval"] and "input_inverse" in state:
            self._undue[layer] = step
            return None
        return {key: group[key] for key in GATHERING}
