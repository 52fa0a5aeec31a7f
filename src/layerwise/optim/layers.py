"""Which parameters are a linear layer's, and which options a parameter group may have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

OUTPUT_FACTORS = ("gauss_newton", "empirical", "none")


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer that is preconditioned as a whole: weight, and bias if it is trained."""

    name: str
    module: nn.Linear
    bias: Tensor | None  # None where there is none or it is frozen
    group: int  # index of its parameter group

    @property
    def parameters(self) -> list[Tensor]:
        """The weight, and the bias if it is trained."""
        return [self.module.weight] if self.bias is None else [self.module.weight, self.bias]

    def augmented(self, inputs: Tensor) -> Tensor:
        """Inputs a (n, d_in), with a one appended to each if the bias is trained."""
        if self.bias is None:
            return inputs
        return torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)


def as_groups(
    model: nn.Module, params: Iterable[nn.Parameter] | Iterable[dict[str, Any]] | None
) -> list[dict[str, Any]]:
    """New dictionaries of parameter groups; None stands for the whole model."""
    if params is None:
        params = model.parameters()
    groups: list[Any] = list(params)
    if not all(isinstance(group, dict) for group in groups):
        groups = [{"params": groups}]
    return [group | {"params": list(group["params"])} for group in groups]


def find_layers(
    model: nn.Module, groups: Sequence[dict[str, Any]]
) -> tuple[list[Layer], list[nn.Parameter]]:
    """The groups' linear layers, and their other trained parameters.

    Raises ValueError for a parameter of another model, for shared weights, for a layer that two
    groups divide, and for a group without a linear layer.
    """
    group_of: dict[Any, int] = {
        p: index for index, group in enumerate(groups) for p in group["params"]
    }
    names: dict[Tensor, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    for parameter, index in group_of.items():
        if parameter not in names:
            raise ValueError(f"Parameter group {index} holds what is no parameter of the model.")
    if len(group_of) < sum(len(group["params"]) for group in groups):
        raise ValueError("A parameter is given twice: each belongs in one parameter group, once.")
    # A subclass may compute something else: attention's out_proj never runs its own forward.
    layers = [
        _layer(name, module, group_of, names)
        for name, module in model.named_modules()
        if type(module) is nn.Linear and module.weight.requires_grad and module.weight in group_of
    ]
    for index in set(range(len(groups))) - {layer.group for layer in layers}:
        raise ValueError(
            f"Parameter group {index} holds no weight of an nn.Linear layer that is trained, so "
            "KFAC has nothing to precondition there."
        )
    taken = {p for layer in layers for p in layer.parameters}
    return layers, [p for p in group_of if p.requires_grad and p not in taken]


def _layer(
    name: str,
    module: nn.Linear,
    group_of: dict[Tensor, int],
    names: dict[Tensor, list[str]],
) -> Layer:
    """The layer of a module whose weight is in a group; ValueError if it shares its parameters."""
    bias = module.bias if module.bias is not None and module.bias.requires_grad else None
    layer = Layer(name, module, bias, group_of[module.weight])
    for parameter in layer.parameters:
        if len(names[parameter]) > 1:
            raise ValueError(
                f"{' and '.join(names[parameter])} are one parameter: KFAC does not support shared "
                "weights."
            )
        if group_of.get(parameter) != layer.group:
            raise ValueError(
                f"The weight and the bias of layer '{name}' must be in the same parameter group."
            )
    return layer


def check_options(options: dict[str, Any]) -> None:
    """Raise ValueError for the first option of a group that cannot be used."""
    interval = options["update_interval"]
    for key, usable, allowed in (
        ("lr", options["lr"] > 0, "a number above 0"),
        ("damping", options["damping"] >= 0, "a number of at least 0"),
        ("output_damping", options["output_damping"] >= 0, "a number of at least 0"),
        ("factor_decay", 0 <= options["factor_decay"] < 1, "a number from 0 to below 1"),
        ("update_interval", isinstance(interval, int) and interval >= 1, "a count of at least 1"),
    ):
        if not usable:
            raise ValueError(f"{key} = {options[key]} is not allowed: give {allowed}.")
    kind = options["precondition_outputs"]
    if kind not in OUTPUT_FACTORS:
        nearest = get_close_matches(str(kind), OUTPUT_FACTORS, n=1, cutoff=0)[0]
        raise ValueError(
            f"precondition_outputs = {kind!r} is not one of {', '.join(OUTPUT_FACTORS)}; the "
            f"nearest is '{nearest}'."
        )
