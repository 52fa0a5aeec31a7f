"""A network of any depth with biases, its loss, gradients and Kronecker factors in closed form.

A layer is [W b] (S, V, out, in + 1), its input [a; 1]: the bias is a column of a matrix like any other, as
in layerwise.optim.KFAC. With batch-norm the hidden layers are sigma(N(W a) + b), where N standardises each
unit over the batch: b is the shift that follows it, and a learnt scale is left to the next layer.
Samples are the last axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from layerwise.data.students import Batch
from layerwise.networks.activations import ACTIVATIONS, Activation, mean_and_scale
from layerwise.networks.base import Layers, View
from layerwise.networks.factors import RunFactor, SeedFactor
from layerwise.networks.inputs import INPUTS, Inputs, Whitening
from layerwise.networks.linalg import solve_spd_left, times_seed_matrix
from layerwise.settings.student import StudentTask


@dataclass(frozen=True)
class Kind:
    """What a network is beside its weights. ``output_damping`` of P_l is in units of its mean diagonal."""

    activation: Activation
    normalised: bool
    output_damping: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch as it reaches the first layer: [x; 1] (S, d + 1, n), y (S, d_y, n), and each seed's T."""

    x: Tensor
    y: Tensor
    inputs: tuple[Inputs, ...]

    @cached_property
    def second_moment(self) -> SeedFactor:
        """E[x; 1][x; 1]^T, not centred."""
        return SeedFactor(self.x @ self.x.mT / self.x.shape[-1])

    def on_original(self, rows: Tensor) -> Tensor:
        """rows T (S, V, r, d): what acts on the original coordinates x as rows do on the inputs."""
        each = zip(self.inputs, rows, strict=True)
        return torch.stack([inputs.transform(own) for inputs, own in each])


class Pass(NamedTuple):
    """Of every layer its input a and W a + b, (S, V, out, n); of normalised ones the scale of N."""

    into: list[Tensor]
    out: list[Tensor]
    scales: list[Tensor]


class MLPView(View):
    """Loss 0.5 E|y - f(x)|^2 on a batch."""

    def __init__(self, batch: Prepared, weights: Layers, kind: Kind) -> None:
        self.batch, self.weights, self._kind = batch, weights, kind
        self._back: dict[int, Tensor] = {}
        self._slopes_of: dict[int, Tensor] = {}

    @cached_property
    def loss(self) -> Tensor:
        return 0.5 * self._residual.square().sum(dim=-2).mean(dim=-1)

    @property
    def prediction(self) -> Tensor:
        """f(x), shape (S, V, d_y, n)."""
        return self._forward.out[-1]

    @property
    def features(self) -> Tensor:
        """What the last layer sees, without the one: (S, V, width, n)."""
        return self._forward.into[-1]

    def gradient(self, layer: int) -> Tensor:
        back, n = self._backward(layer), self.batch.y.shape[-1]
        shift = back.sum(dim=-1, keepdim=True)
        if self._kind.normalised and layer < self._last:
            back = self._through_norm(back, layer)
        into = self._forward.into[layer]
        weight = times_seed_matrix(back, into.mT) if layer == 0 else back @ into.mT
        return torch.cat([weight, shift], dim=-1) / n

    def inputs(self, layer: int) -> SeedFactor | RunFactor:
        if self._kind.normalised:
            raise self._lacks("inputs")
        if layer == 0:
            return self.batch.second_moment
        into = self._forward.into[layer]
        mean = into.mean(dim=-1, keepdim=True)
        below = torch.cat([mean.mT, torch.ones_like(mean[..., :1, :])], dim=-1)
        moment = torch.cat([into @ into.mT / into.shape[-1], mean], dim=-1)
        return RunFactor(torch.cat([moment, below], dim=-2))

    def natural(self, layer: int) -> Tensor:
        """Damped, so that one dead unit leaves P_l invertible; NaN where it is not. Of the last, P = I."""
        if self._kind.normalised:
            raise self._lacks("outputs")
        if layer == self._last:
            return self.gradient(layer)
        moment = self.output_moment(layer)
        unit = moment.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
        identity = torch.eye(moment.shape[-1]).to(moment)
        damped = moment + self._kind.output_damping * unit * identity
        return solve_spd_left(damped, self.gradient(layer))

    def output_moment(self, layer: int) -> Tensor:
        """P_l = E J^T J (S, V, m, m), J the Jacobian of f by a hidden layer's W a; at fixed statistics,
        where that is normalised."""
        n = self.batch.y.shape[-1]
        if layer == self._last - 1:  # without the Jacobian itself: J = W_L diag(slope)
            head = self.weights[-1][..., :-1]
            slopes = self._slopes(layer)
            return (head.mT @ head) * (slopes @ slopes.mT) / n
        seeds, variants = self.weights[0].shape[:2]
        # Run by run, so that a Jacobian stays in the cache.
        jacobians = (self._jacobian(layer, s, v) for s in range(seeds) for v in range(variants))
        moments = torch.stack([jacobian @ jacobian.mT for jacobian in jacobians])
        return moments.unflatten(0, (seeds, variants)) / n

    def at(self, weights: Layers) -> "MLPView":
        return MLPView(self.batch, weights, self._kind)

    @property
    def _last(self) -> int:
        return len(self.weights) - 1

    @cached_property
    def _forward(self) -> Pass:
        into, out, scales = [self.batch.x[:, :-1]], [], []
        for place, layer in enumerate(self.weights):
            weight, a = layer[..., :-1], into[-1]
            h = weight @ a if place else times_seed_matrix(weight, a)
            if self._kind.normalised and place < self._last:
                mean, scale = mean_and_scale(h, -1)
                scales.append(scale)
                h = h.sub_(mean).mul_(scale)
            out.append(h.add_(layer[..., -1:]))
            if place < self._last:
                into.append(self._kind.activation.value(out[-1]))
        return Pass(into, out, scales)

    @cached_property
    def _residual(self) -> Tensor:
        """f(x) - y, shape (S, V, d_y, n)."""
        return self.prediction - self.batch.y[:, None]

    def _backward(self, layer: int) -> Tensor:
        """n times the derivative of the loss by a layer's W a + b, (S, V, out, n)."""
        if layer not in self._back:
            if layer == self._last:
                return self._residual
            above = self._backward(layer + 1)
            if self._kind.normalised and layer + 1 < self._last:
                above = self._through_norm(above, layer + 1)
            down = self.weights[layer + 1][..., :-1].mT @ above
            self._back[layer] = down.mul_(self._activation_slope(layer))
        return self._back[layer]

    def _through_norm(self, back: Tensor, layer: int) -> Tensor:
        """From the derivative by a normalised W a to that by W a, through the batch's statistics too."""
        scale = self._forward.scales[layer]
        standardised = self._forward.out[layer] - self.weights[layer][..., -1:]
        along = (back * standardised).mean(dim=-1, keepdim=True)
        return scale * (back - back.mean(dim=-1, keepdim=True) - along * standardised)

    def _activation_slope(self, layer: int) -> Tensor:
        if layer not in self._slopes_of:
            self._slopes_of[layer] = self._kind.activation.slope(self._forward.out[layer])
        return self._slopes_of[layer]

    def _slopes(self, layer: int) -> Tensor:
        """The derivative of a hidden layer's a by its W a, at fixed statistics."""
        slope = self._activation_slope(layer)
        return slope * self._forward.scales[layer] if self._kind.normalised else slope

    def _jacobian(self, layer: int, seed: int, variant: int) -> Tensor:
        """J^T of all outputs and samples of a run, (m, d_y n)."""
        above = self.weights[layer + 1][seed, variant, :, :-1].mT.contiguous()
        slopes = self._slopes(layer)[seed, variant]
        if layer == self._last - 1:
            return (above[:, :, None] * slopes[:, None]).flatten(1)
        rows = (above @ self._jacobian(layer + 1, seed, variant)).view(
            len(above), -1, slopes.shape[-1]
        )
        return rows.mul_(slopes[:, None]).flatten(1)


class MLP:
    """The networks of some seeds, by their name. They keep nothing of the batches that they have seen:
    statistics are those of the sample that a view is on, at evaluation too."""

    def __init__(self, name: str, task: StudentTask, whitenings: Sequence[Whitening]) -> None:
        self.offers = task.offers(name)
        self._inputs, self._whitenings = INPUTS[name], whitenings
        self._kind = Kind(ACTIVATIONS[task.activation], name == "bn_hidden", task.output_damping)
        self._last: tuple[Batch, Prepared] | None = None

    def view(self, weights: Layers, batch: Batch) -> MLPView:
        """The network at ``weights`` on a batch."""
        if self._last is None or self._last[0] is not batch:
            self._last = batch, self.prepared(batch)
        return self.on(self._last[1], weights)

    def on(self, prepared: Prepared, weights: Layers) -> MLPView:
        """The same on a batch that is prepared already."""
        return MLPView(prepared, weights, self._kind)

    def observe(self, view: View, batch: Batch) -> None:
        """Nothing is kept."""

    def keep(self, places: Tensor) -> None:
        """Nothing is kept."""

    def prepared(self, batch: Batch) -> Prepared:
        """A batch as it reaches the first layer."""
        each = list(zip(batch.x, self._whitenings, strict=True))
        inputs = tuple(self._inputs(x, own) for x, own in each)
        reaching = torch.stack([T.reaching(x) for T, x in zip(inputs, batch.x, strict=True)])
        return Prepared(
            pad(reaching, (0, 1), value=1.0).mT.contiguous(), batch.y.mT.contiguous(), inputs
        )
