"""A problem on the device: the population quantities that data, oracles and metrics are built on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from layerwise.data.instances import Instances


@dataclass(frozen=True)
class Population:
    """The law of (x, y) for S seeds: y = F* G* x + noise * standard normal, x = root u.

    Shapes: features G* (S, k, d_x), head F* (S, d_y, k), eigenvalues (d_x,), eigenvectors
    (S, d_x, d_x). ``noise`` is sigma, the standard deviation of each output's noise.
    """

    features: Tensor
    head: Tensor
    eigenvalues: Tensor
    eigenvectors: Tensor
    noise: float

    def covariance_power(self, power: float) -> Tensor:
        """Sigma_x to a power, symmetric: shape (S, d_x, d_x)."""
        return (self.eigenvectors * self.eigenvalues**power) @ self.eigenvectors.mT

    @cached_property
    def map(self) -> Tensor:
        """F* G*, shape (S, d_y, d_x)."""
        return self.head @ self.features


def populations(
    instances: Instances, noise: float, dtype: torch.dtype, device: str
) -> tuple[Population, Population]:
    """The training task's population and the transfer task's; they share G*."""

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)

    features = tensor(instances.features_true)
    training = Population(
        features,
        tensor(instances.head_true),
        tensor(instances.eigenvalues),
        tensor(instances.eigenvectors),
        noise,
    )
    transfer = Population(
        features,
        tensor(instances.head_transfer),
        tensor(instances.eigenvalues_transfer),
        tensor(instances.eigenvectors_transfer),
        noise,
    )
    return training, transfer
