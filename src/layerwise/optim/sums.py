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


def input_gram(calls: list[Tensor], sharing: str, with_one: bool) -> tuple[int, Tensor]:
    """Rows, and the sum of a a^T over them, for inputs (samples, positions, d_in) of each call.

    ``with_one`` appends a one to each a, for a bias.
    """
    if sharing == "reduce":
        positions = sum(a.shape[1] for a in calls)
        calls = [sum_over_positions(calls)[:, None] / positions]
    rows = [a.flatten(end_dim=1) for a in calls]
    count, gram = sum(len(a) for a in rows), sum_of_grams(rows)
    if with_one:
        total = torch.stack([a.sum(dim=0) for a in rows]).sum(dim=0)
        beside = torch.cat([total, total.new_full((1,), count)])
        gram = torch.cat([torch.cat([gram, total[None]]), beside[:, None]], dim=1)
    return count, gram


def output_gram(calls: list[Tensor], sharing: str) -> Tensor:
    """The sum of g g^T for gradients g (samples, positions, d_out) by the outputs of each call."""
    if sharing == "reduce":
        return sum_of_grams([sum_over_positions(calls)])
    return sum_of_grams([g.flatten(end_dim=1) for g in calls])


def sum_of_grams(rows: list[Tensor]) -> Tensor:
    """The sum of A^T A."""
    first, *others = (a.mT @ a for a in rows)
    return sum(others, first)


def sum_over_positions(calls: list[Tensor]) -> Tensor:
    """(samples, d)."""
    return torch.stack([call.sum(dim=1) for call in calls]).sum(dim=0)
