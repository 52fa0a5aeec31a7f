"""Options of a parameter group: what is allowed, said in one sentence."""

from collections.abc import Callable
from difflib import get_close_matches
from math import isfinite
from numbers import Integral, Real
from typing import Any

import torch
from torch import nn

OUTPUT_FACTORS = ("gauss_newton", "empirical", "sampled", "none")
CHOICES = {
    "precondition_outputs": OUTPUT_FACTORS,
    "loss": ("squared_error", "cross_entropy"),
    "sharing": ("expand", "reduce"),
}
FLAGS = ("pi_damping", "maximize")
# What factors are gathered by, and what else they are inverted by: the groups of a layer's weight
# and of its bias must agree.
GATHERING = ("precondition_outputs", "loss", "sharing")
OF_FACTORS = (
    *GATHERING,
    "damping",
    "output_damping",
    "pi_damping",
    "factor_decay",
    "update_interval",
)

AT_LEAST_0: tuple[Callable[[Any], bool], str] = (lambda x: x >= 0, "a number of at least 0")
BELOW_1: tuple[Callable[[Any], bool], str] = (lambda x: 0 <= x < 1, "a number from 0 to below 1")
NUMBERS = {
    "lr": AT_LEAST_0,
    "damping": AT_LEAST_0,
    "output_damping": AT_LEAST_0,
    "weight_decay": AT_LEAST_0,
    "factor_decay": BELOW_1,
    "momentum": BELOW_1,
}


def check_arguments(model: Any, other: Any) -> None:
    """Raise ValueError if what KFAC is made with is no module, or no function that makes another."""
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"model is a {type(model).__name__}: give the nn.Module itself, and its parameters in "
            "params if only some are trained."
        )
    if other is not None and not callable(other):
        raise ValueError(
            f"other is a {type(other).__name__}: give a function that makes an optimiser."
        )


def is_number(value: Any) -> bool:
    """Whether the value is a finite number, or a tensor of one as schedulers of lr may set it."""
    if isinstance(value, torch.Tensor):
        return value.numel() == 1 and not value.is_complex() and bool(value.isfinite())
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return isfinite(value)


def check_options(options: dict[str, Any]) -> None:
    """Raise ValueError for the first option of a group that cannot be used."""
    for key, (usable, allowed) in NUMBERS.items():
        if not (is_number(options[key]) and usable(options[key])):
            raise ValueError(f"{key} = {options[key]!r} is not allowed: give {allowed}.")
    interval = options["update_interval"]
    if isinstance(interval, bool) or not isinstance(interval, Integral) or interval < 1:
        raise ValueError(
            f"update_interval = {interval!r} is not allowed: give a count of at least 1."
        )
    for key in FLAGS:
        if not isinstance(options[key], bool):
            raise ValueError(f"{key} = {options[key]!r} is not allowed: give True or False.")
    for key, choices in CHOICES.items():
        if options[key] not in choices:
            nearest = get_close_matches(str(options[key]), choices, n=1, cutoff=0)[0]
            raise ValueError(
                f"{key} = {options[key]!r} is not one of {', '.join(choices)}; the nearest is "
                f"'{nearest}'."
            )
    if options["pi_damping"] and options["precondition_outputs"] == "none":
        raise ValueError(
            "pi_damping = True is not allowed with precondition_outputs = 'none': there is no "
            "output factor to split the damping with."
        )
