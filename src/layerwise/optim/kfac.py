"""KFAC, the layer-wise preconditioner of Eq. 5, as a torch.optim.Optimizer."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from layerwise.optim.factors import FactorHooks
from layerwise.optim.layers import Layer, as_groups, check_options, find_layers


class KFAC(Optimizer):
    """Kronecker-factored preconditioning of a model's nn.Linear layers, Eq. 5 of arXiv 2502.01763.

    A step on a layer's weight W (d_out, d_in), or [W b] (d_out, d_in + 1) with a trained bias, is

        W <- W - lr (P + output_damping I)^-1 grad_W (Q + damping I)^-1

    with Q = E[a a^T] over the layer's inputs a (a one is appended for the bias) and P chosen by
    ``precondition_outputs``:

    - "gauss_newton": P = E[J^T J], J = d model output / d layer output. This is Gauss-Newton's
      factor for half the squared error. It costs a backward pass for each of the model's outputs.
    - "empirical": P = E[g g^T], g = the gradient of a sample's loss by the layer's output.
    - "none": P = I.

    E averages over the samples that were backpropagated since the last step. The loss must be a
    mean over samples, and come from calling the model itself, as in model(x), where hooks see it.

    ``params`` is as in torch.optim, to train a part of the model or give its parts options of
    their own: all but ``other`` may differ among groups. A layer's weight and bias share a group.

    At every ``update_interval``-th step a layer's factors become factor_decay * factor +
    (1 - factor_decay) * new, starting from the first as it is, and are inverted. The steps between
    reuse the inverses.

    ``other`` makes the optimiser of all parameters but those of nn.Linear, for example
    ``lambda parameters: torch.optim.Adam(parameters, lr=1e-3)``. Its groups follow KFAC's in
    param_groups, where schedulers reach them.

    Raises ValueError for arguments that cannot be used. Training raises RuntimeError where a layer
    is used twice in a pass, has inputs that are not (samples, features), has a gradient whose pass
    was not seen, or has a factor that is not positive definite.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        *,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]] | None = None,
        damping: float = 1e-3,  # lambda_G in Eq. 5
        output_damping: float = 1e-3,
        factor_decay: float = 0.0,
        update_interval: int = 1,
        precondition_outputs: str = "gauss_newton",
        other: Callable[[list[nn.Parameter]], Optimizer] | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "damping": damping,
            "output_damping": output_damping,
            "factor_decay": factor_decay,
            "update_interval": update_interval,
            "precondition_outputs": precondition_outputs,
        }
        groups = as_groups(model, params)
        self._layers, rest = find_layers(model, groups)
        if rest and other is None:
            name = next(name for name, p in model.named_parameters() if p is rest[0])
            raise ValueError(
                f"'{name}' belongs to no nn.Linear layer: give other, an optimiser for such "
                "parameters, as in other=lambda parameters: torch.optim.Adam(parameters, lr=1e-3)."
            )
        for index, group in enumerate(groups):
            own = [layer.parameters for layer in self._layers if layer.group == index]
            group["params"] = [parameter for parameters in own for parameter in parameters]
        super().__init__(groups, defaults)
        self._other = other(rest) if rest and other is not None else None
        if self._other is not None:
            self.param_groups.extend(self._other.param_groups)
        self._hooks = FactorHooks(model, self._layers, self._wanted)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """For the constructor, which needs to see all groups; RuntimeError afterwards."""
        if hasattr(self, "_hooks"):
            raise RuntimeError("KFAC takes all its parameter groups when it is made, in params.")
        check_options(self.defaults | param_group)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step on every layer that has a gradient, and one of the other parameters' optimiser.

        A closure, if given, zeroes the gradients, backpropagates the loss and returns it; so does
        the step.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for layer in self._layers:
            if layer.module.weight.grad is not None:
                self._step_layer(layer)
        self._hooks.clear()
        if self._other is not None:
            self._other.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As in torch.optim; the factors of passes since the last step are forgotten, too."""
        super().zero_grad(set_to_none)
        self._hooks.clear()

    def state_dict(self) -> dict[str, Any]:
        """As in torch.optim, with the other parameters' optimiser under "other"."""
        saved = super().state_dict()
        if self._other is not None:
            saved["other"] = self._other.state_dict()
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch.optim. A run saved after a step goes on bitwise as it would have."""
        super().load_state_dict(state_dict)
        if self._other is not None:
            self._other.load_state_dict(state_dict["other"])
            self.param_groups[-len(self._other.param_groups) :] = self._other.param_groups

    def close(self) -> None:
        """Take the hooks off the model, which then can be trained by another optimiser."""
        self._hooks.close()

    def _wanted(self, layer: Layer) -> str | None:
        """The output factor that the layer's next step needs, or None between updates."""
        group = self.param_groups[layer.group]
        steps = self.state.get(layer.module.weight, {}).get("step", 0)
        due = steps % group["update_interval"] == 0
        return group["precondition_outputs"] if due else None

    def _step_layer(self, layer: Layer) -> None:
        group, state = self.param_groups[layer.group], self.state[layer.module.weight]
        gradients = [p.grad for p in layer.parameters if p.grad is not None]
        gradient = torch.cat([g.reshape(len(g), -1) for g in gradients], dim=1)
        if self._wanted(layer) is not None:
            if layer not in self._hooks.sums:
                if not gradient.any():
                    return  # zeros that zero_grad(set_to_none=False) left
                raise RuntimeError(
                    f"Layer '{layer.name}' has a gradient, but since the last step KFAC saw no "
                    "call of the whole model that led to it."
                )
            self._update(layer, group, state)
        direction = gradient @ state["input_inverse"]
        if "output_inverse" in state:
            direction = state["output_inverse"] @ direction
        widths = [layer.module.in_features, 1][: len(layer.parameters)]
        for parameter, part in zip(layer.parameters, direction.split(widths, dim=1), strict=True):
            parameter.sub_(group["lr"] * part.reshape(parameter.shape))
        state["step"] = state.get("step", 0) + 1

    def _update(self, layer: Layer, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Take the factors since the last step into the averages, and invert them."""
        sums = self._hooks.sums[layer]
        sides = {"input": (sums.inputs, "damping"), "output": (sums.outputs, "output_damping")}
        for side, (total, key) in sides.items():
            if total is None:
                continue
            factor = total / sums.rows
            if f"{side}_factor" in state:
                decay = group["factor_decay"]
                factor = decay * state[f"{side}_factor"] + (1 - decay) * factor
            inverse = damped_inverse(factor, group[key])
            if inverse is None:
                raise RuntimeError(
                    f"The {side} factor of layer '{layer.name}' is not positive definite: raise "
                    f"{key} = {group[key]}, or lower lr if training diverged."
                )
            state[f"{side}_factor"], state[f"{side}_inverse"] = factor, inverse


def damped_inverse(factor: Tensor, damping: float) -> Tensor | None:
    """(factor + damping I)^-1 for a symmetric factor; None if that is not positive definite."""
    identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    cholesky, failed = torch.linalg.cholesky_ex(factor + damping * identity)
    return None if failed else torch.cholesky_inverse(cholesky)
