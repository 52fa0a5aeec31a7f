"""Kronecker factors as sums over rows, with the weights that a layer shares among positions."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Sums:
    """Sums over the passes that led to a gradient.

    ``sharing`` is how positions count (Eschenhagen et al. 2023, KFAC for modern architectures).
    "expand" takes each as a row of its own, Q = E[a a^T] over samples and positions, and P = the
    mean over samples of the sum of g g^T over positions. "reduce" first averages a and sums g over
    a sample's positions. Calls of a layer in one pass count as positions of one call.
    """

    samples: int
    rows: int  # samples, or samples times positions where each counts
    inputs: Tensor  # sum of a a^T over rows, (d_in, d_in)
    outputs: Tensor | None  # sum of J^T H J or g g^T over rows, (d_out, d_out)

    def __add__(self, other: "Sums") -> "Sums":
        outputs = None
        if self.outputs is not None and other.outputs is not None:
            outputs = self.outputs + other.outputs
        return Sums(
            self.samples + other.samples,
            self.rows + other.rows,
            self.inputs + other.inputs,
            outputs,
        )

    def of_mean_loss(self, scale: float, workers: int) -> "Sums":
        """Sums of g g^T for gradients of the samples' own losses.

        Those that were summed are of the mean of the samples' losses, times ``scale``, on a worker
        each; the loss is the mean of the workers'.
        """
        assert self.outputs is not None
        outputs = self.outputs * (self.samples / workers / scale) ** 2
        return Sums(self.samples, self.rows, self.inputs, outputs)


def input_gram(calls: list[Tensor], sharing: str) -> tuple[int, Tensor]:
    """Rows, and the sum of a a^T over them, for inputs (samples, positions, d_in) of each call."""
    if sharing == "expand":
        rows = torch.cat([a.flatten(end_dim=1) for a in calls])
    else:
        positions = sum(a.shape[1] for a in calls)
        rows = sum_over_positions(calls) / positions
    return len(rows), rows.mT @ rows


def output_gram(calls: list[Tensor], sharing: str) -> Tensor:
    """The sum of g g^T for gradients g (samples, positions, d_out) by the outputs of each call."""
    if sharing == "expand":
        rows = torch.cat([g.flatten(end_dim=1) for g in calls])
    else:
        rows = sum_over_positions(calls)
    return rows.mT @ rows


def sum_over_positions(calls: list[Tensor]) -> Tensor:
    """(samples, d)."""
    return torch.stack([call.sum(dim=1) for call in calls]).sum(dim=0)
