"""What the tasks of a student network share: batches of S seeds, coordinates, initial weights, orders."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from layerwise.data.streams import generator
from layerwise.settings.student import StudentTask


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of S seeds: x (S, n, d_x) in the original coordinates, and targets y (S, n, d_y)."""

    x: Tensor
    y: Tensor


class Coordinates(NamedTuple):
    """Sigma_x of one seed: eigenvalues (d,), and eigenvectors (d, d) as columns, None for the axes."""

    eigenvalues: Tensor
    eigenvectors: Tensor | None

    def times_covariance_power(self, rows: Tensor, power: float) -> Tensor:
        """rows Sigma_x^power, shape (..., d); a negative power leaves out what has no variance."""
        scale = torch.where(self.eigenvalues > 0, self.eigenvalues, torch.inf if power < 0 else 0.0)
        if self.eigenvectors is None:
            return rows * scale**power
        return (rows @ self.eigenvectors * scale**power) @ self.eigenvectors.mT


def start_weights(
    task: StudentTask, d_x: int, d_y: int, seed: int, dtype: torch.dtype, device: str
) -> tuple[Tensor, ...]:
    """[W_l b_l] of one seed, (out, in + 1), the first layer first: entries of W_l are N(0, 2 / in) before a
    relu (He et al. 2015) and N(0, 1 / in) else; biases are zero."""
    stream = generator("student weights", seed)
    sizes = [d_x, *[task.width] * task.depth, d_y]
    layers = []
    for place, (columns, rows) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        gain = 2.0 if task.activation == "relu" and place < task.depth else 1.0
        layer = np.zeros((rows, columns + 1))
        layer[:, :-1] = stream.standard_normal((rows, columns)) * math.sqrt(gain / columns)
        layers.append(torch.as_tensor(layer, dtype=dtype, device=device))
    return tuple(layers)


class Order:
    """In which order one seed's batches take ``n`` samples: permutations one after the other."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._stream = n, generator("student order", seed)
        self._left = np.empty(0, dtype=np.int64)

    def next(self, size: int) -> np.ndarray:
        """The places of the next ``size`` samples."""
        while len(self._left) < size:
            self._left = np.concatenate([self._left, self._stream.permutation(self._n)])
        taken, self._left = self._left[:size], self._left[size:]
        return taken


class FixedBatches:
    """Batches of a fixed sample, each seed's in its own order."""

    def __init__(self, sample: Batch, size: int, seeds: Sequence[int]) -> None:
        self._sample, self._size = sample, size
        self._orders = [Order(sample.x.shape[1], seed) for seed in seeds]

    def next(self) -> Batch:
        """The next batch."""
        places = [torch.as_tensor(order.next(self._size)) for order in self._orders]
        x, y = (
            torch.stack([own[at.to(own.device)] for own, at in zip(part, places, strict=True)])
            for part in (self._sample.x, self._sample.y)
        )
        return Batch(x, y)
