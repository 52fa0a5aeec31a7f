"""The network f(x) = f^T sigma(G x) on raw batches (arXiv 2502.01763, Section 3.2).

Layers are G (S, V, width, d) and f^T (S, V, 1, width), or G alone where the readout is not trained.
Loss and gradients are in closed form, with and without batch-norm. Networks that transform their
inputs see T (x - shift): their map is G T of the original coordinates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from layerwise.data.single_index import Batch, Instance
from layerwise.networks.activations import ACTIVATIONS, Activation, mean_and_scale
from layerwise.networks.autograd import dense_newton
from layerwise.networks.base import Layers, View
from layerwise.networks.factors import RunFactor, SpannedFactor
from layerwise.networks.inputs import INPUTS, Inputs, Whitening
from layerwise.networks.linalg import solve_spd_left, times_seed_matrix
from layerwise.settings.tasks.single_index import SingleIndexTask


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch as it reaches the first layer, when it is looked at; ``of`` makes a seed's T."""

    batch: Batch
    of: Callable[[Tensor, Whitening], Inputs]
    instances: Sequence[Instance]

    @property
    def y(self) -> Tensor:
        """(S, n)."""
        return self.batch.y

    @cached_property
    def inputs(self) -> tuple[Inputs, ...]:
        """Each seed's T."""
        each = zip(self.batch.x, self.instances, strict=True)
        return tuple(self.of(x, instance) for x, instance in each)

    @cached_property
    def x(self) -> Tensor:
        """(S, n, d)."""
        each = zip(self.inputs, self.batch.x, strict=True)
        return torch.stack([own.reaching(x) for own, x in each])

    @cached_property
    def second_moment(self) -> SpannedFactor:
        """X^T X / n, not centred: one decomposition serves all that divide by it."""
        n = self.x.shape[1]
        return SpannedFactor(self.x.mT @ self.x / n, n)

    def on_original(self, rows: Tensor) -> Tensor:
        """rows T (S, V, r, d): what acts on the original coordinates x as rows do on the inputs."""
        each = zip(self.inputs, rows, strict=True)
        return torch.stack([inputs.transform(own) for inputs, own in each])


class SingleIndexView(View):
    """Loss 0.5 mean (y - f(x))^2 on a batch. P_G = f f^T has rank one, and no rule can divide by it."""

    def __init__(
        self, batch: Prepared, weights: Layers, activation: Activation, readout: Tensor | None
    ) -> None:
        """``readout`` (S, 1, 1, width) is f^T where it is not among the weights."""
        self.batch, self.weights, self._activation, self._readout = (
            batch, weights, activation, readout,
        )  # fmt: skip

    @property
    def head(self) -> Tensor:
        """f^T, trained or not."""
        return self.weights[1] if self._readout is None else self._readout

    @cached_property
    def loss(self) -> Tensor:
        return 0.5 * self._residual.square().mean(dim=(-2, -1))

    def gradient(self, layer: int) -> Tensor:
        n = self.batch.y.shape[-1]
        if layer:
            return self._residual @ self._z.mT / -n
        descent = self._activation.slope(self._hidden).mul_(self._residual)
        return self.head.mT * times_seed_matrix(descent, self.batch.x) / -n

    def inputs(self, layer: int) -> SpannedFactor | RunFactor:
        if layer:
            return RunFactor(self._z @ self._z.mT / self._z.shape[-1])
        return self.batch.second_moment

    def gauss_newton(self, damping: Tensor) -> Layers:
        """By the n x n system of the samples, run by run. Damping is in units of the mean eigenvalue over
        all weights, with G in units of 1/|f|: as for KFAC, it is whatever the scale of the readout."""
        runs = [
            [self._gauss_newton_run(s, v, value) for v, value in enumerate(damping)]
            for s in range(len(self.batch.x))
        ]
        return tuple(
            torch.stack([torch.stack([run[layer] for run in seed]) for seed in runs])
            for layer in range(len(self.weights))
        )

    def _gauss_newton_run(self, s: int, v: int, damping: Tensor) -> Layers:
        """(J D^-1 J^T / n + damping)^-1 r, then D^-1 J^T of it, with D = |f|^2 for G and 1 for f."""
        own = min(v, self.weights[0].shape[1] - 1)  # at the start a seed's variants share weights
        x, hidden, residual = self.batch.x[s], self._hidden[s, own].mT, self._residual[s, own, 0]
        head = self.head[s, min(v, self.head.shape[1] - 1), 0]
        n, power = len(residual), head.square().sum()
        slopes = self._activation.slope(hidden) * head  # (n, width)
        kernel = (slopes @ slopes.mT).mul_(x @ x.mT).div_(n * power)
        if len(self.weights) > 1:
            z = self._z[s, own]
            kernel += z.mT @ z / n
        size = sum(layer[s, own].numel() for layer in self.weights)
        kernel.diagonal().add_(damping.flatten() * kernel.trace() / size)
        weight = solve_spd_left(kernel, residual[:, None])
        features = (slopes * weight).mT @ x / (n * power)
        return (features, (z @ weight / n).mT) if len(self.weights) > 1 else (features,)

    def newton(self, damping: Tensor) -> Layers:
        """By autograd's Hessian, for few weights."""

        def loss(seed: int) -> Callable[[Layers], Tensor]:
            x, y = self.batch.x[seed], self.batch.y[seed]
            frozen = None if self._readout is None else self._readout[seed, 0]

            def of(weights: Layers) -> Tensor:
                head = weights[1] if frozen is None else frozen
                return 0.5 * (y - head @ self._activation.value(weights[0] @ x.mT)).square().mean()

            return of

        return dense_newton(loss, self.weights, self.gradients, damping)

    def at(self, weights: Layers) -> "SingleIndexView":
        return type(self)(self.batch, weights, self._activation, self._readout)

    @cached_property
    def _hidden(self) -> Tensor:
        """G x, shape (S, V, width, n)."""
        return times_seed_matrix(self.weights[0], self.batch.x.mT)

    @cached_property
    def _z(self) -> Tensor:
        """sigma(G x), shape (S, V, width, n)."""
        return self._activation.value(self._hidden)

    @cached_property
    def _residual(self) -> Tensor:
        """y - f(x), shape (S, V, 1, n)."""
        return self.batch.y[:, None, None] - self.head @ self._z


class HiddenBatchNormView(SingleIndexView):
    """G x standardised over the batch, unit by unit: the gradient also goes through its statistics."""

    def gradient(self, layer: int) -> Tensor:
        if layer:
            return super().gradient(layer)
        hidden = self._hidden
        descent = self._activation.slope(hidden).mul_(self._residual)
        along = (descent * hidden).mean(dim=-1, keepdim=True)  # the path through the variance
        descent.sub_(descent.mean(dim=-1, keepdim=True)).addcmul_(hidden, along, value=-1)
        per_unit = self.head.mT * self._standardised[1]
        return per_unit * times_seed_matrix(descent, self.batch.x) / -self.batch.y.shape[-1]

    def inputs(self, layer: int) -> SpannedFactor | RunFactor:
        raise self._lacks("inputs")

    def gauss_newton(self, damping: Tensor) -> Layers:
        raise self._lacks("gauss_newton")

    def newton(self, damping: Tensor) -> Layers:
        raise self._lacks("hessian")

    @cached_property
    def _standardised(self) -> tuple[Tensor, Tensor]:
        """(G x - mean) * scale, (S, V, width, n), and scale = 1 / sqrt(variance + epsilon)."""
        hidden = times_seed_matrix(self.weights[0], self.batch.x.mT)
        mean, scale = mean_and_scale(hidden, -1)
        return hidden.sub_(mean).mul_(scale), scale

    @property
    def _hidden(self) -> Tensor:
        return self._standardised[0]


class SingleIndexNetwork:
    """The network of some seeds, by its name. It keeps nothing of the batches that it has seen."""

    def __init__(self, name: str, task: SingleIndexTask, instances: Sequence[Instance]) -> None:
        self.offers = task.offers(name)
        self._inputs, self._instances = INPUTS[name], instances
        self._activation = ACTIVATIONS[task.activation]
        self._view = HiddenBatchNormView if name == "bn_hidden" else SingleIndexView
        readouts = torch.stack([instance.readout for instance in instances])[:, None, None]
        self._readout = readouts if task.layers == "first" else None
        self._last: Prepared | None = None

    def view(self, weights: Layers, batch: Batch) -> SingleIndexView:
        """The network at ``weights`` on a batch."""
        return self._view(self.prepared(batch), weights, self._activation, self._readout)

    def labels(self, batch: Batch) -> SingleIndexView:
        """One linear unit at zero, w^T x, on the same inputs and labels: what a rule makes of it is the
        direction that it learns from the labels alone, the small readout's limit."""
        prepared = self.prepared(batch)
        s, _, d = prepared.x.shape
        zero, one = prepared.x.new_zeros(s, 1, 1, d), prepared.x.new_ones(s, 1, 1, 1)
        return SingleIndexView(prepared, (zero,), ACTIVATIONS["linear"], one)

    def observe(self, view: View, batch: Batch) -> None:
        """Evaluation takes the statistics of its own sample."""

    def keep(self, places: Tensor) -> None:
        """Nothing is kept."""

    def prepared(self, batch: Batch) -> Prepared:
        """The batch as it reaches the first layer; the same again for the batch of the last call."""
        if self._last is None or self._last.batch is not batch:
            self._last = Prepared(batch, self._inputs, self._instances)
        return self._last
