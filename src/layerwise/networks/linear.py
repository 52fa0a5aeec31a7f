"""The two-layer linear network f(x) = F G x on second moments, with and without batch-norm.

Everything that a rule may ask for is a function of a batch's first and second moments. Layers are
G (S, V, k, d_x) and F (S, V, d_y, k).
"""

from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.networks.activations import BN_EPSILON, RunningStatistics
from layerwise.networks.base import Layers, Need, Network, Predictor, View
from layerwise.networks.factors import RunFactor, SeedFactor
from layerwise.networks.linalg import solve_spd_left, solve_spd_right, times_seed_matrix
from layerwise.networks.second_order import gauss_newton_step, newton_step
from layerwise.settings.tasks.linear_representation import LinearTask


def least_squares_head(features: Tensor, moments: Moments) -> Tensor:
    """The head F that minimises the batch loss for given features: E[y z^T] (E[z z^T])^-1."""
    return LinearView(moments, (features,)).refitted()


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


class LinearView(View):
    """f(x) = F G x on the moments of what reaches the first layer: Eq. 5's parts in closed form."""

    def __init__(self, moments: Moments, weights: Layers) -> None:
        self._moments, self.weights = moments, weights

    @property
    def loss(self) -> Tensor:
        # tr(F zz F^T) - 2 tr(F E[z y^T]) = sum of F * (F zz - 2 y z^T)
        cross = (self.weights[1] * (self._head_gradient - self._yz)).sum(dim=(-2, -1))
        return 0.5 * (self._moments.yy[:, None] + cross)

    def gradient(self, layer: int) -> Tensor:
        return self._head_gradient if layer else self._features_gradient

    def inputs(self, layer: int) -> SeedFactor | RunFactor:
        return RunFactor(self._zz, definite=True) if layer else SeedFactor(self._moments.xx)

    def natural(self, layer: int) -> Tensor:
        """Of G with P_G = F^T F: since grad_G = F^T (F G Sigma - E[y x^T]), it is G Sigma less the
        least-squares fit of F to E[y x^T]; a product with P_G and a solve of as many columns as x has are
        never formed. Of F, P_F = I."""
        if layer:
            return self._head_gradient
        head = self.weights[1]
        fit = solve_spd_left(head.mT @ head, head.mT)  # (F^T F)^-1 F^T
        return self._feature_x - times_seed_matrix(fit, self._moments.yx)

    def refitted(self) -> Tensor:
        return solve_spd_right(self._yz, self._zz)

    def gauss_newton(self, damping: Tensor) -> Layers:
        features, head = self.weights
        added = damping * self._curvature
        return gauss_newton_step(features, head, self.gradients, self._moments.xx, added)

    def newton(self, damping: Tensor) -> Layers:
        features, head = self.weights
        moments, added = self._moments, damping * self._curvature
        return newton_step(features, head, self.gradients, moments.xx, moments.yx, added)

    @cached_property
    def _curvature(self) -> Tensor:
        """The mean eigenvalue of the Gauss-Newton matrix, its trace over the number of weights, and so
        the mean of the Hessian's diagonal: (S, V, 1, 1)."""
        features, head = self.weights
        of_features = head.square().sum(dim=(-2, -1)) * _trace(self._moments.xx)[:, None]
        trace = of_features + head.shape[-2] * _trace(self._zz)
        return (trace / (features[0, 0].numel() + head[0, 0].numel()))[..., None, None]

    def at(self, weights: Layers) -> "LinearView":
        return LinearView(self._moments, weights)

    @cached_property
    def _feature_x(self) -> Tensor:
        """G Sigma."""
        return times_seed_matrix(self.weights[0], self._moments.xx)

    @cached_property
    def _zz(self) -> Tensor:
        """E z z^T of the features z = G x."""
        return self._feature_x @ self.weights[0].mT

    @cached_property
    def _yz(self) -> Tensor:
        """E y z^T."""
        return times_seed_matrix(self.weights[0], self._moments.yx.mT).mT

    @cached_property
    def _features_gradient(self) -> Tensor:
        head = self.weights[1]
        return head.mT @ head @ self._feature_x - times_seed_matrix(head.mT, self._moments.yx)

    @cached_property
    def _head_gradient(self) -> Tensor:
        return self.weights[1] @ self._zz - self._yz


class HiddenBatchNormView(View):
    """f(x) = F s (G x - mean), s = 1 / sqrt(variance + epsilon), on centred moments: the plain network's
    gradients with effective head A = F diag(s), plus the path through s(G)."""

    def __init__(self, centred: Moments, weights: Layers) -> None:
        self._centred, self.weights = centred, weights

    @property
    def loss(self) -> Tensor:
        return self._direct.loss

    def gradient(self, layer: int) -> Tensor:
        return self.gradients[layer]

    @cached_property
    def gradients(self) -> Layers:
        head = self.weights[1]
        features_gradient, effective_gradient = self._direct.gradients
        scale_gradient = (effective_gradient * head).sum(dim=-2)  # dL/ds, effective: dL/dA
        through_scale = (-(self._scale**3) * scale_gradient)[..., None] * self._feature_x
        return features_gradient + through_scale, effective_gradient * self._scale[:, :, None, :]

    def at(self, weights: Layers) -> "HiddenBatchNormView":
        return HiddenBatchNormView(self._centred, weights)

    @cached_property
    def _feature_x(self) -> Tensor:
        return times_seed_matrix(self.weights[0], self._centred.xx)

    @cached_property
    def variance(self) -> Tensor:
        """Of G x on the batch, (S, V, k)."""
        return (self._feature_x * self.weights[0]).sum(dim=-1)

    @cached_property
    def _scale(self) -> Tensor:
        """s, (S, V, k)."""
        return (self.variance + BN_EPSILON).rsqrt()

    @cached_property
    def _direct(self) -> LinearView:
        features, head = self.weights
        return LinearView(self._centred, (features, head * self._scale[:, :, None, :]))


class LinearNetwork(Network[Moments], Protocol):
    """A linear network also says which affine map it computes at evaluation."""

    def predictor(self, weights: Layers) -> Predictor:
        """The map computed at evaluation."""


class Plain:
    """f(x) = F G x."""

    offers: ClassVar[frozenset[Need]] = LinearTask.networks["plain"]

    def __init__(self, population: Population) -> None:
        """The plain network needs nothing of the population."""

    def view(self, weights: Layers, batch: Moments) -> View:
        return LinearView(batch, weights)

    def observe(self, view: View, batch: Moments) -> None:
        """Nothing is normalised."""

    def keep(self, places: Tensor) -> None:
        """No statistics are a variant's own."""

    def predictor(self, weights: Layers) -> Predictor:
        features, head = weights
        return Predictor(features, head, None)


class Whitened(Plain):
    """An oracle: f(x) = F G Sigma_x^(-1/2) x, with the population's Sigma_x."""

    offers: ClassVar[frozenset[Need]] = LinearTask.networks["whitened"]

    def __init__(self, population: Population) -> None:
        self._whitening = population.covariance_power(-0.5)

    def view(self, weights: Layers, batch: Moments) -> View:
        return LinearView(batch.transformed_inputs(self._whitening), weights)

    def predictor(self, weights: Layers) -> Predictor:
        features, head = weights
        return Predictor(times_seed_matrix(features, self._whitening), head, None)


class InputBatchNorm(Plain):
    """Batch-norm on the inputs: each coordinate of x is standardised with the batch's statistics.

    No learnt scale and shift: the linear layer that follows absorbs the one, and the targets have
    mean zero.
    """

    offers: ClassVar[frozenset[Need]] = LinearTask.networks["bn_input"]

    def __init__(self, population: Population) -> None:
        self._running = RunningStatistics()

    def view(self, weights: Layers, batch: Moments) -> View:
        centred = batch.centred
        variance = centred.xx.diagonal(dim1=-2, dim2=-1)
        return LinearView(centred.scaled_inputs((variance + BN_EPSILON).rsqrt()), weights)

    def observe(self, view: View, batch: Moments) -> None:
        variance = batch.centred.xx.diagonal(dim1=-2, dim2=-1)
        self._running.update(batch.x_mean[:, None, None, :], variance[:, None, None, :])

    def predictor(self, weights: Layers) -> Predictor:
        features = weights[0] * self._running.scale()
        return Predictor(features, weights[1], -(features * self._running.mean).sum(dim=-1))


class HiddenBatchNorm(Plain):
    """Batch-norm after the first layer: f(x) = F (G x - mean) / sqrt(variance + epsilon).

    No learnt scale and shift, as for :class:`InputBatchNorm`. G x is linear in x, so its mean is G
    times the mean of x.
    """

    offers: ClassVar[frozenset[Need]] = LinearTask.networks["bn_hidden"]

    def __init__(self, population: Population) -> None:
        self._running = RunningStatistics()

    def view(self, weights: Layers, batch: Moments) -> View:
        return HiddenBatchNormView(batch.centred, weights)

    def observe(self, view: View, batch: Moments) -> None:
        assert isinstance(view, HiddenBatchNormView)
        mean = times_seed_matrix(view.weights[0], batch.x_mean[:, :, None])
        self._running.update(mean, view.variance[..., None])

    def keep(self, places: Tensor) -> None:
        self._running.keep(places)

    def predictor(self, weights: Layers) -> Predictor:
        features = weights[0] * self._running.scale()
        mean = self._running.scale() * self._running.mean * torch.ones_like(features[..., :1])
        return Predictor(features, weights[1], -mean.squeeze(-1))


NETWORKS = {
    "plain": Plain,
    "whitened": Whitened,
    "bn_input": InputBatchNorm,
    "bn_hidden": HiddenBatchNorm,
}
