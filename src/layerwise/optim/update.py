"""A layer's factors, their inverses and the direction of its step, as functions of its state.

A state is a dictionary of a parameter's state_dict. Functions return new ones and change none, so
that a refused step leaves all as it was; only ``move``, the last, changes what it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from layerwise.optim.layers import Layer, factor_dtype
from layerwise.optim.solve import damped_inverse, split_damping
from layerwise.optim.sums import Sums

State = dict[str, Any]
SIDES = {"input": "damping", "output": "output_damping"}
# What a state holds in the factors' precision, whatever the parameter's.
TENSORS = ("input_factor", "output_factor", "input_inverse", "output_inverse", "momentum_buffer")


def with_new_factors(state: State, sums: Sums, decay: float) -> State:
    """The state with the sums' factors taken into its averages; without inverses.

    Raises nothing: factors of any value are averaged, and judged when they are inverted.
    """
    new = {key: value for key, value in state.items() if not key.endswith(("factor", "inverse"))}
    means = {"input": sums.inputs / sums.rows}
    if sums.outputs is not None:
        means["output"] = sums.outputs / sums.samples
    for side, mean in means.items():
        old = state.get(f"{side}_factor")
        if old is not None:
            mean = decay * old.to(mean) + (1 - decay) * mean
        new[f"{side}_factor"] = mean
    return new


def with_inverses(
    layer: Layer, state: State, options: Mapping[str, Any], columns: tuple[int, int]
) -> State:
    """The state with inverses of its damped factors, for these columns of [W b].

    RuntimeError, with the layer's name, for a factor that is not positive definite.
    """
    factors = {"input": state["input_factor"][slice(*columns), slice(*columns)]}
    if "output_factor" in state:
        factors["output"] = state["output_factor"]
    dampings = {side: options[key] for side, key in SIDES.items()}
    if options["pi_damping"] and "output" in factors:
        of_inputs, of_outputs = split_damping(
            factors["input"], factors["output"], options["damping"]
        )
        dampings = {"input": of_inputs, "output": of_outputs}
    new = state | {"columns": columns}
    for side, factor in factors.items():
        inverse = damped_inverse(factor, dampings[side])
        if inverse is None:
            key = "damping" if options["pi_damping"] else SIDES[side]
            raise RuntimeError(
                f"The {side} factor of layer '{layer.name}' is not positive definite: raise "
                f"{key} = {options[key]}, or lower lr if training diverged."
            )
        new[f"{side}_inverse"] = inverse
    return new


def direction(state: State, gradient: Tensor) -> Tensor:
    """P^-1 gradient Q^-1 with the state's damped inverses, (d_out, columns)."""
    product = gradient @ state["input_inverse"].to(gradient)
    if "output_inverse" in state:
        product = state["output_inverse"].to(gradient) @ product
    return product


def move(
    parameter: nn.Parameter, direction: Tensor, group: Mapping[str, Any], state: State
) -> None:
    """Momentum, weight decay and the step itself, in place of the parameter and its state."""
    state["step"] = state.get("step", 0) + 1
    if group["momentum"]:
        if "momentum_buffer" in state:
            direction = group["momentum"] * state["momentum_buffer"] + direction
        state["momentum_buffer"] = direction
    if group["weight_decay"]:
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
    parameter.sub_((group["lr"] * direction).to(parameter.dtype))


def check_state(
    state_dict: Mapping[str, Any], layers: Sequence[Layer], parameters: Sequence[Tensor]
) -> None:
    """Raise ValueError, with the layer's name, for a saved state of a layer of another shape.

    ``parameters`` are all of the optimiser's, in order.
    """
    saved = [i for group in state_dict["param_groups"] for i in group["params"]]
    states = {p: state_dict["state"].get(i, {}) for i, p in zip(saved, parameters, strict=False)}
    for layer in layers:
        d_in, d_out = layer.width + layer.holds_bias, len(layer.weight)
        for parameter in layer.held:
            state = states.get(parameter, {})
            fitting = {
                "input_factor": (d_in, d_in),
                "output_factor": (d_out, d_out),
                "momentum_buffer": tuple(parameter.shape),
            }
            for key, shape in fitting.items():
                if key in state and tuple(state[key].shape) != shape:
                    raise ValueError(
                        f"The saved {key} of layer '{layer.name}' is of shape "
                        f"{tuple(state[key].shape)}, and the layer needs {shape}: it is of "
                        "another model, or of other trained parameters."
                    )


def in_factors_precision(state: State, parameter: Tensor) -> State:
    """A saved state's factors, inverses and momentum, where the parameter is and not in its precision."""
    dtype = factor_dtype(parameter)
    return {
        key: value.to(parameter.device, dtype) for key, value in state.items() if key in TENSORS
    }
