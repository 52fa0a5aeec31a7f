"""What becomes of raw inputs x before the first layer: nothing, or an affine map."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from layerwise.networks.activations import mean_and_scale


class Whitening(Protocol):
    """What knows the second moments of one seed's inputs."""

    def times_covariance_power(self, rows: Tensor, power: float) -> Tensor:
        """rows Sigma_x^power, shape (..., d)."""


class Inputs(NamedTuple):
    """x -> T (x - shift) with symmetric T; ``transform`` multiplies rows by T. None: as it is."""

    shift: Tensor | None
    transform: Callable[[Tensor], Tensor]

    def reaching(self, x: Tensor) -> Tensor:
        """T (x - shift) for rows x (n, d)."""
        return self.transform(x if self.shift is None else x - self.shift)


def raw_inputs(x: Tensor, of: Whitening) -> Inputs:
    """x itself."""
    return Inputs(None, lambda rows: rows)


def standardised_inputs(x: Tensor, of: Whitening) -> Inputs:
    """Batch-norm on the inputs: each coordinate standardised by the batch's statistics."""
    mean, scale = mean_and_scale(x, 0)
    return Inputs(mean, lambda rows: rows * scale)


def whitened_inputs(x: Tensor, of: Whitening) -> Inputs:
    """Sigma_x^(-1/2) x with the population's Sigma_x, an oracle."""
    return Inputs(None, lambda rows: of.times_covariance_power(rows, -0.5))


# What becomes of a seed's x (n, d) before the first layer.
INPUTS: dict[str, Callable[[Tensor, Whitening], Inputs]] = {
    "plain": raw_inputs,
    "whitened": whitened_inputs,
    "bn_input": standardised_inputs,
    "bn_hidden": raw_inputs,
}
