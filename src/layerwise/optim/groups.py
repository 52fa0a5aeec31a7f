"""Parameter groups, in every form that torch.optim takes."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from layerwise.optim.layers import Layer
from layerwise.optim.options import OF_FACTORS

Group = dict[str, Any]


def as_groups(model: nn.Module, params: Iterable[Any] | None) -> list[Group]:
    """New dictionaries, each with its parameters as a list; None stands for the whole model.

    Raises ValueError for what torch.optim would not take, and for a parameter given twice.
    """
    if params is None:
        params = model.parameters()
    try:
        given = params if isinstance(params, Tensor) else list(params)
        copies: Any = [dict(g) if isinstance(g, Mapping) else g for g in given]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of duplicates, which are refused below
            groups = Optimizer(given if isinstance(params, Tensor) else copies, {}).param_groups
    except (TypeError, KeyError, IndexError) as error:
        raise ValueError(
            f"params is not in a form of torch.optim: {str(error).rstrip('.')}."
        ) from error
    parameters = [p for group in groups for p in group["params"]]
    if len(set(parameters)) < len(parameters):
        raise ValueError("A parameter is given twice: each belongs in one parameter group, once.")
    return groups


def without(group: Group, dropped: set[Tensor]) -> Group:
    """The group with only its other parameters, and their names if it has names."""
    kept = [i for i, p in enumerate(group["params"]) if p not in dropped]
    lists = {
        key: [group[key][i] for i in kept] for key in ("params", "param_names") if key in group
    }
    return group | lists


def with_names(group: Group) -> Group:
    """The group as add_param_group takes it: pairs of name and parameter if it has names."""
    if "param_names" not in group:
        return group
    pairs = list(zip(group["param_names"], group["params"], strict=True))
    return {key: value for key, value in group.items() if key != "param_names"} | {"params": pairs}


def check_groups(
    model: nn.Module,
    groups: Sequence[Group],
    layers: Sequence[Layer],
    defaults: Mapping[str, Any],
    other: bool,
) -> None:
    """Raise ValueError, with a parameter's name, if new groups hold what cannot be trained so.

    ``other`` is whether parameters of no layer have an optimiser.
    """
    names = {p: name for name, p in model.named_parameters()}
    held = {p for layer in layers for p in layer.held}
    for index, group in enumerate(groups):
        strangers = [p for p in group["params"] if p not in held]
        for parameter in strangers:
            if parameter.requires_grad and not other:
                raise ValueError(
                    f"'{names[parameter]}' belongs to no layer that KFAC preconditions: give other, "
                    "an optimiser for such parameters, as in other=lambda parameters: "
                    "torch.optim.Adam(parameters, lr=1e-3)."
                )
        if len(strangers) == len(group["params"]):
            raise ValueError(
                f"Parameter group {index} holds no parameter of a layer that KFAC preconditions: "
                "put its parameters into another group, and other trains them with its own options."
            )
    options = {p: {**defaults, **group} for group in groups for p in group["params"]}
    for layer in layers:
        check_agreement(layer, [options[p] for p in layer.held if p in options])


def of_others(
    parameters: list[nn.Parameter], make: Callable[[list[nn.Parameter]], Optimizer] | None
) -> Optimizer | None:
    """The optimiser of parameters of no layer; None where there are none, or nobody makes it.

    Raises ValueError for what is no optimiser.
    """
    made = make(parameters) if parameters and make is not None else None
    if made is not None and not isinstance(made, Optimizer):
        raise ValueError(f"other made a {type(made).__name__}, which is no optimiser.")
    return made


def strays(model: nn.Module, rest: Sequence[Tensor]) -> list[str]:
    """Sentences on parameters of no layer that have a gradient, where no optimiser trains them."""
    own = set(rest)
    return [
        f"'{name}' has a gradient now, and belongs to no layer: give other."
        for name, p in model.named_parameters()
        if p in own and p.grad is not None
    ]


def check_agreement(layer: Layer, groups: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError if a layer's weight and bias are told different ways to make factors."""
    for key in OF_FACTORS:
        if any(group[key] != groups[0][key] for group in groups):
            raise ValueError(
                f"The weight and the bias of layer '{layer.name}' are in groups with different "
                f"{key}, and have their factors in common."
            )
