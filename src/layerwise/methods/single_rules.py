"""The update rules that train f(x) = f^T sigma(G x), for all seeds and variants at once.

Step sizes of SGD and KFAC are in natural units. The readout starts small: the gradient by G is of
order |f_0|, and G must move by 1/|f_0| to change f(x) by one. So G moves by lr / |f_0|^2 times its
direction, and f(x) then changes by order lr whatever the readout's scale. The gradient by f adds up
width features, so f moves by lr / width times it.
"""

from typing import Any, Protocol

from torch import Tensor

from layerwise.methods.base import Grid, load_rule
from layerwise.networks.linalg import solve_spd_left
from layerwise.networks.linear import Weights
from layerwise.networks.single_index import Batch, SingleIndexNetwork
from layerwise.settings.run import MethodSettings


class Rule(Protocol):
    """One step of an optimiser. As for :class:`layerwise.methods.base.Rule`, runs must not mix, and a
    step that cannot be taken is returned as NaN. Memory is kept inside."""

    def step(self, weights: Weights, batch: Batch) -> Weights:
        """New weights; the old ones are not changed."""


class SGD:
    """Gradient descent on both layers at once."""

    def __init__(self, network: SingleIndexNetwork, grid: Grid, start: Weights) -> None:
        self._network = network
        self._lr_features = grid.lr / _power(start)
        self._lr_head = grid.lr / start.head.shape[-1]

    def step(self, weights: Weights, batch: Batch) -> Weights:
        gradients = self._network.gradients(weights, batch)
        return Weights(
            weights.features - self._lr_features * gradients.features,
            weights.head - self._lr_head * gradients.head,
        )


class KFAC:
    """Eq. 5, the head after the features, with the batch's own Q_G = E[x x^T] and Q_F = E[z z^T].

    P_G = f f^T has rank one and is left out, as in :mod:`layerwise.tasks.single_step`, whatever
    ``precondition_outputs``. ``lr_head`` is eta_F; None makes it equal to lr.
    """

    def __init__(
        self,
        network: SingleIndexNetwork,
        grid: Grid,
        start: Weights,
        precondition_outputs: bool,
        lr_head: float | None,
    ) -> None:
        self._network, self._damping = network, grid.damping
        self._lr_features = grid.lr / _power(start)
        self._lr_head = grid.lr if lr_head is None else lr_head

    def step(self, weights: Weights, batch: Batch) -> Weights:
        gradient = self._network.gradients(weights, batch).features
        direction = batch.precondition(gradient, self._damping)
        moved = Weights(weights.features - self._lr_features * direction, weights.head)
        if not self._network.trains_head:
            return moved
        return Weights(moved.features, moved.head + self._lr_head * self._head_step(moved, batch))

    def _head_step(self, weights: Weights, batch: Batch) -> Tensor:
        """E[r z^T] (Q_F + damping q I)^-1 with q the mean diagonal entry of Q_F: (S, V, 1, width).

        Q_F is near singular: once G has its spike, z = sigma(G x) hardly leaves a few directions. So
        it is damped too, relative to its own size, since z grows with G.
        """
        residual, z = self._network.residual_and_features(weights, batch)
        n = z.shape[-1]
        second_moment = z @ z.mT / n
        diagonal = second_moment.diagonal(dim1=-2, dim2=-1)
        diagonal += self._damping[..., 0] * diagonal.mean(dim=-1, keepdim=True)
        return solve_spd_left(second_moment, z @ residual.mT / n).mT


class OfGradients:
    """A rule of :mod:`layerwise.methods` that asks a network for its gradients alone, with lr as it
    stands on both layers. Only spectral descent's steps grow with the gradient, and its lr with 1/|f|^2."""

    def __init__(self, network: SingleIndexNetwork, start: Weights, rule: Any) -> None:
        # Any: the rule never looks into a batch, which is no linear network's here.
        self._rule, self._network = rule, network
        self._memory = self._rule.start(start)

    def step(self, weights: Weights, batch: Batch) -> Weights:
        weights, self._memory = self._rule.step(weights, [batch], self._memory, self._network)
        return weights


# Rules with a form of their own for this network.
OWN_RULES = {"sgd.SGD": SGD, "kfac.KFAC": KFAC}


def make_rule(
    settings: MethodSettings, network: SingleIndexNetwork, grid: Grid, start: Weights
) -> Rule:
    """The rule that ``settings.rule`` names, with the settings' options."""
    if settings.rule not in OWN_RULES:
        return OfGradients(network, start, load_rule(settings, grid))
    make: Any = OWN_RULES[settings.rule]
    rule: Rule = make(network, grid, start, **settings.options)
    return rule


def _power(weights: Weights) -> Tensor:
    """|f|^2, shape (S, V, 1, 1)."""
    return weights.head.square().sum(dim=(-2, -1), keepdim=True)
