"""Activations with their derivatives, and normalisation by a batch's statistics."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# PyTorch's BatchNorm1d defaults.
BN_EPSILON = 1e-5
BN_MOMENTUM = 0.1


class Activation(NamedTuple):
    """sigma and its derivative, elementwise; the derivative at a kink is autograd's."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _erf_slope(u: Tensor) -> Tensor:
    return torch.exp(-u.square()) * (2 / math.sqrt(math.pi))


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda u: 1 - torch.tanh(u).square()),
    "relu": Activation(torch.relu, lambda u: (u > 0).to(u.dtype)),
    "erf": Activation(torch.erf, _erf_slope),
    "linear": Activation(lambda u: u, torch.ones_like),
}


def standardise(hidden: Tensor, like: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Columns of hidden (n, width) with the mean and variance of ``like``'s (default: its own)
    taken out, and 1 / sqrt(variance + BN_EPSILON), shape (width,)."""
    variance, mean = torch.var_mean(hidden if like is None else like, dim=0, correction=0)
    scale = (variance + BN_EPSILON).rsqrt()
    return (hidden - mean) * scale, scale


class RunningStatistics:
    """Exponential averages of a mean and a variance, started at 0 and 1 as in PyTorch's BatchNorm."""

    def __init__(self) -> None:
        self.mean: Tensor | float = 0.0
        self.variance: Tensor | float = 1.0

    def update(self, mean: Tensor, variance: Tensor) -> None:
        """Move towards a batch's statistics by BN_MOMENTUM."""
        self.mean = self.mean + BN_MOMENTUM * (mean - self.mean)
        self.variance = self.variance + BN_MOMENTUM * (variance - self.variance)

    def scale(self) -> Tensor | float:
        """1 / sqrt(variance + epsilon)."""
        return (self.variance + BN_EPSILON) ** -0.5
