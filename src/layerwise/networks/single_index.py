"""The network f(x) = f^T sigma(G x) on raw batches, batched over seeds and variants, and its data.

Loss and gradients are in closed form, with and without batch-norm (arXiv 2502.01763, Section 3.2).
Weights are those of :mod:`layerwise.networks.linear` with d_y = 1: G (S, V, width, d) and f^T
(S, V, 1, width).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.data.single_index import (
    Inputs,
    Instance,
    OneStepProblem,
    next_sample,
    raw_inputs,
    sample_streams,
    standardised_inputs,
    whitened_inputs,
)
from layerwise.metrics.ridge import ACTIVATIONS
from layerwise.networks.linalg import times_seed_matrix
from layerwise.networks.linear import BN_EPSILON, Gradients, Weights


class Architecture(NamedTuple):
    """What becomes of a sample's x before the first layer, and whether G x is normalised after it."""

    inputs: Callable[[Tensor, Instance], Inputs]
    normalises_hidden: bool = False


ARCHITECTURES = {
    "plain": Architecture(raw_inputs),
    "whitened": Architecture(whitened_inputs),
    "bn_input": Architecture(standardised_inputs),
    "bn_hidden": Architecture(raw_inputs, normalises_hidden=True),
}


@dataclass(frozen=True)
class Batch:
    """Samples as they reach the first layer: x (S, n, d) and labels y (S, n)."""

    x: Tensor
    y: Tensor

    @cached_property
    def second_moment(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (S, d) and eigenvectors (S, d, d) of X^T X / n, not centred."""
        values, vectors = torch.linalg.eigh(self.x.mT @ self.x / self.x.shape[1])
        return values, vectors

    def precondition(self, rows: Tensor, damping: Tensor) -> Tensor:
        """rows (X^T X / n + damping I)^-1 for rows (S, V, width, d) and damping (V, 1, 1).

        One decomposition of a batch serves all variants. As in ``ridge.SecondMoment``, rows are in
        the span of the samples, and at damping 0 it is the limit from above.
        """
        values, vectors = self.second_moment
        rounding = max(self.x.shape[1:]) * torch.finfo(values.dtype).eps * values[:, -1:]
        spanned = (values > rounding)[:, None, None]
        scaled = times_seed_matrix(rows, vectors) / (values[:, None, None] + damping)
        return times_seed_matrix(torch.where(spanned, scaled, 0.0), vectors.mT)


class Batches:
    """n samples of every seed for each step: fresh ones, or the first step's again and again.

    The first are those of the one-step simulation: the stream is the same, "step".
    """

    def __init__(
        self,
        problem: OneStepProblem,
        architecture: Architecture,
        instances: Sequence[Instance],
        seeds: Sequence[int],
        fresh: bool,
    ) -> None:
        self._problem, self._architecture, self._instances = problem, architecture, instances
        self._streams = [sample_streams("step", seed) for seed in seeds]
        self._fixed = None if fresh else self._draw()

    def next(self) -> Batch:
        """The next step's batch."""
        return self._fixed or self._draw()

    def _draw(self) -> Batch:
        drawn = [self._draw_seed(place) for place in range(len(self._instances))]
        xs, ys = zip(*drawn, strict=True)
        return Batch(torch.stack(xs), torch.stack(ys))

    def _draw_seed(self, place: int) -> tuple[Tensor, Tensor]:
        """x (n, d) as the first layer gets it, and y (n,)."""
        problem, instance = self._problem, self._instances[place]
        sample = next_sample(problem, instance, problem.n, *self._streams[place])
        x = instance.from_eigenbasis(sample.inputs)
        return reaching_first_layer(self._architecture.inputs(x, instance), x), sample.labels


def reaching_first_layer(inputs: Inputs, x: Tensor) -> Tensor:
    """T (x - shift) for rows x (n, d)."""
    return inputs.transform(x if inputs.shift is None else x - inputs.shift)


class SingleIndexNetwork:
    """Loss 0.5 mean (y - f(x))^2 on a batch, and its gradients.

    With ``trains_head`` False the head's gradient is zero, so that every rule leaves it alone.
    """

    def __init__(self, activation: str, normalises_hidden: bool, trains_head: bool) -> None:
        self._activation = ACTIVATIONS[activation]
        self._normalises_hidden = normalises_hidden
        self.trains_head = trains_head

    def loss(self, weights: Weights, batch: Batch) -> Tensor:
        """The loss of each run, shape (S, V)."""
        residual, _ = self.residual_and_features(weights, batch)
        return _half_mean_square(residual)

    def residual_and_features(self, weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
        """y - f(x), shape (S, V, 1, n), and z = sigma(G x), shape (S, V, width, n)."""
        z = self._activation.value(self._hidden(weights, batch)[0])
        return batch.y[:, None, None] - weights.head @ z, z

    def gradients(self, weights: Weights, batch: Batch) -> Gradients:
        """Gradients shaped as the weights, and the loss (S, V)."""
        hidden, scale = self._hidden(weights, batch)
        z = self._activation.value(hidden)
        residual = batch.y[:, None, None] - weights.head @ z
        descent, per_unit = self._activation.slope(hidden).mul_(residual), weights.head.mT
        if scale is not None:
            along = (descent * hidden).mean(dim=-1, keepdim=True)  # the path through the variance
            descent.sub_(descent.mean(dim=-1, keepdim=True)).addcmul_(hidden, along, value=-1)
            per_unit = per_unit * scale
        n = batch.y.shape[-1]
        features = per_unit * times_seed_matrix(descent, batch.x) / -n
        head = residual @ z.mT / -n if self.trains_head else torch.zeros_like(weights.head)
        return Gradients(features, head, _half_mean_square(residual))

    def _hidden(self, weights: Weights, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """G x, shape (S, V, width, n); where it is standardised over the batch, also the scale."""
        hidden = times_seed_matrix(weights.features, batch.x.mT)
        if not self._normalises_hidden:
            return hidden, None
        variance, mean = torch.var_mean(hidden, dim=-1, correction=0, keepdim=True)
        scale = (variance + BN_EPSILON).rsqrt()
        return hidden.sub_(mean).mul_(scale), scale


def _half_mean_square(residual: Tensor) -> Tensor:
    return 0.5 * residual.square().mean(dim=(-2, -1))
