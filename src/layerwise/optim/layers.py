"""Which parameters are preconditioned, by layer, and what a layer does to its inputs."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import UninitializedParameter
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(eq=False)
class Layer:
    """A weight W (d_out, d_in), and the bias b beside it, that are preconditioned as [W b].

    A convolution is linear in its patches: its weight stands for (channels out, channels in times
    the kernel's size).
    """

    name: str
    modules: list[nn.Module]  # more than one where they share the weight
    weight: nn.Parameter
    bias: nn.Parameter | None
    held: list[nn.Parameter]  # those of the two that the optimiser was given

    @property
    def width(self) -> int:
        """d_in."""
        return self.weight[0].numel()

    @property
    def holds_bias(self) -> bool:
        """Whether inputs get a one appended, for the bias."""
        return self.bias is not None and any(p is self.bias for p in self.held)

    @property
    def intact(self) -> bool:
        """Whether the modules still use these parameters; pruning and such replace them."""
        return all(is_used(self, module) for module in self.modules)

    def columns(self, parameters: Collection[Tensor]) -> tuple[int, int]:
        """Which columns of [W b] these parameters are: the first, and the one after the last."""
        first = 0 if any(p is self.weight for p in parameters) else self.width
        return first, self.width + any(p is self.bias for p in parameters)

    def input_rows(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """Inputs as (samples, positions, d_in)."""
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            return patches(module, inputs)
        return inputs.reshape(len(inputs), -1, inputs.shape[-1])

    def output_rows(self, module: nn.Module, outputs: Tensor) -> Tensor:
        """Outputs, or gradients by them, as (samples, positions, d_out)."""
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            return outputs.flatten(2).mT
        return outputs.reshape(len(outputs), -1, outputs.shape[-1])


def is_used(layer: Layer, module: nn.Module) -> bool:
    """Whether the module's weight and bias are the layer's parameters, now."""
    now = module._parameters
    return now.get("weight") is layer.weight and now.get("bias") is layer.bias


def patches(module: nn.Conv1d | nn.Conv2d, inputs: Tensor) -> Tensor:
    """What a convolution multiplies its kernels by: (samples, positions, channels x kernel)."""
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    padded = functional.pad(inputs, module._reversed_padding_repeated_twice, mode=mode)
    kernel, dilation, stride = module.kernel_size, module.dilation, module.stride
    if isinstance(module, nn.Conv1d):
        padded = padded[:, :, None]
        kernel, dilation, stride = (1, *kernel), (1, *dilation), (1, *stride)
    return functional.unfold(padded, kernel, dilation=dilation, stride=stride).mT


def find_layers(
    model: nn.Module, held: Collection[nn.Parameter]
) -> tuple[list[Layer], list[nn.Parameter]]:
    """The layers that own one of these parameters, and the parameters that no layer owns.

    A layer is a module that is an nn.Linear, nn.Conv1d or nn.Conv2d, and no subclass, because one
    may compute something else: attention's out_proj never runs its own forward. Modules that share
    a weight are one layer; a weight that any other module has too is in none.

    Raises ValueError, with the parameter's name, for what no optimiser of the model could train.
    """
    names: dict[nn.Parameter, str] = {}
    owners: dict[nn.Parameter, list[nn.Module]] = {}
    for prefix, module in model.named_modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                names.setdefault(parameter, f"{prefix}.{key}" if prefix else key)
                owners.setdefault(parameter, []).append(module)
    given = set(held)
    for parameter in held:
        check_parameter(names.get(parameter), parameter)
    layers: dict[nn.Parameter, Layer] = {}
    for prefix, module in model.named_modules():
        weight = module._parameters.get("weight")
        if type(module) not in KINDS or weight is None or weight in layers:
            continue
        bias = module._parameters.get("bias")
        own = [p for p in (weight, bias) if p in given]
        modules = owners[weight]
        beside = bias is None or len(owners[bias]) == len(modules)
        if own and beside and all(is_layer(m, weight, bias) for m in modules):
            layers[weight] = Layer(prefix or type(module).__name__, modules, weight, bias, own)
    taken = {p for layer in layers.values() for p in layer.held}
    return list(layers.values()), [p for p in held if p not in taken]


def is_layer(module: nn.Module, weight: nn.Parameter, bias: nn.Parameter | None) -> bool:
    """Whether the module is linear in its inputs or patches, with just this weight and bias."""
    return (
        type(module) in KINDS
        and getattr(module, "groups", 1) == 1
        and module._parameters.get("weight") is weight
        and module._parameters.get("bias") is bias
    )


def check_parameter(name: str | None, parameter: Tensor) -> None:
    """Raise ValueError for a parameter that cannot be trained; name is None for a stranger."""
    if name is None:
        raise ValueError(
            f"A parameter of shape {tuple(parameter.shape)} in params is none of the model's."
        )
    if isinstance(parameter, UninitializedParameter):
        raise ValueError(
            f"'{name}' is uninitialized, as a lazy layer is before its first pass: call the model "
            "once before KFAC is made."
        )
    if not parameter.is_floating_point():
        raise ValueError(f"'{name}' is of {parameter.dtype}: KFAC trains real floating point.")
    if is_traceable_wrapper_subclass(parameter):
        raise ValueError(
            f"'{name}' is a {type(parameter.data).__name__}: KFAC does not support parameters that "
            "are sharded or quantized."
        )


def unwrapped(model: nn.Module) -> nn.Module:
    """The module that torch.compile wraps, if it does."""
    inner = model._modules.get("_orig_mod")
    return model if inner is None else unwrapped(inner)


def factor_dtype(parameter: Tensor) -> torch.dtype:
    """Factors are in single precision, or in double if the parameter is."""
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32
