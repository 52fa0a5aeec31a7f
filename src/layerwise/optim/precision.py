"""Low precision: what its rounding of gradients does to a step, and factors that it leaves alone."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from layerwise.optim.layers import Layer
from layerwise.optim.update import State, direction

# Steps may be off by these many last digits of the precision, as torch.testing allows: 1.6 % in
# bfloat16, where a gradient that was rounded in a few places is off by 0.5 %.
LAST_DIGITS = 2


@contextmanager
def without_autocast(layers: Iterable[Layer]) -> Iterator[None]:
    """Compute in the tensors' own precision where the layers are, also in an autocast region."""
    with ExitStack() as stack:
        for kind in {layer.weight.device.type for layer in layers}:
            if torch.amp.is_autocast_available(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def coarser(first: torch.dtype, second: torch.dtype) -> torch.dtype:
    """The precision with fewer digits."""
    return max(first, second, key=lambda dtype: torch.finfo(dtype).eps)


def rounding_of_step(state: State, gradient: Tensor, precision: torch.dtype) -> Tensor:
    """The size of each entry's error in P^-1 G Q^-1 if the gradient G was rounded to a precision.

    Rounding changes entries of G independently by up to u |G_ij|, u = half of the last digit.
    Variances of sums are sums of variances, with squared coefficients: those of the step are
    (P^-1)^2 (u G)^2 (Q^-1)^2, squares by entry. Inputs and factors are rounded too, but their
    errors are damped, and were far smaller wherever they were measured.
    """
    squares = {key: value.square() for key, value in state.items() if key.endswith("inverse")}
    largest = gradient.abs().max()  # whose square may be out of range
    relative = direction(squares, (gradient / largest).square()).sqrt()
    return torch.finfo(precision).eps / 2 * largest * relative


def warn_of_rounding(
    layer: Layer, error: float, precision: torch.dtype, options: Mapping[str, Any]
) -> bool:
    """Say so, and return True, if rounding changes a layer's step by more than the last digits."""
    if not error > LAST_DIGITS * torch.finfo(precision).eps:
        return False
    keys = ["damping"]
    if options["precondition_outputs"] != "none" and not options["pi_damping"]:
        keys.append("output_damping")
    dampings = " and ".join(f"{key} = {options[key]}" for key in keys)
    warnings.warn(
        f"Gradients of layer '{layer.name}' were rounded to {str(precision).split('.')[-1]}, which "
        f"with {dampings} changes its step by some {100 * error:.2g} %: raise the damping, or keep the "
        "model in single precision. KFAC says this once.",
        stacklevel=5,  # where KFAC.step is called, of which torch.optim makes three frames
    )
    return True
