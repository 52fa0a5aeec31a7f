"""The two-layer linear network f(x) = F G x on second moments, with and without batch-norm.

Weights are batched over S seeds and V variants (step sizes x damping values). A network turns a
batch's moments and weights into losses and gradients, keeps running statistics where it normalises,
and says which affine map it computes at evaluation.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.networks.linalg import solve_spd_right, times_seed_matrix

# PyTorch's BatchNorm1d defaults.
BN_EPSILON = 1e-5
BN_MOMENTUM = 0.1


class Weights(NamedTuple):
    """features G (S, V, k, d_x) and head F (S, V, d_y, k)."""

    features: Tensor
    head: Tensor


class Gradients(NamedTuple):
    """Gradients of the batch loss, shaped as the weights, and the loss itself (S, V)."""

    features: Tensor
    head: Tensor
    loss: Tensor


class Predictor(NamedTuple):
    """The evaluated network x -> head (features x + offset).

    features (S, V, k, d_x), head (S, V, d_y, k), offset (S, V, k) or None for zero.
    """

    features: Tensor
    head: Tensor
    offset: Tensor | None


class RunningStatistics:
    """Exponential averages of a mean and a variance, started at 0 and 1 as in PyTorch's BatchNorm."""

    def __init__(self) -> None:
        self.mean: Tensor | float = 0.0
        self.variance: Tensor | float = 1.0

    def update(self, mean: Tensor, variance: Tensor) -> None:
        """Move towards a batch's statistics by BN_MOMENTUM."""
        self.mean = self.mean + BN_MOMENTUM * (mean - self.mean)
        self.variance = self.variance + BN_MOMENTUM * (variance - self.variance)

    def scale(self) -> Tensor | float:
        """1 / sqrt(variance + epsilon)."""
        return (self.variance + BN_EPSILON) ** -0.5


class Network(Protocol):
    """What the training loop and the update rules use of a network."""

    def prepare(self, moments: Moments) -> Moments:
        """The moments of what reaches the first layer."""

    def observe(self, weights: Weights, moments: Moments) -> None:
        """Update running statistics, if any, with a training batch."""

    def gradients(self, weights: Weights, prepared: Moments) -> Gradients:
        """Loss and gradients on prepared moments."""

    def predictor(self, weights: Weights) -> Predictor:
        """The map computed at evaluation."""


def linear_gradients(weights: Weights, moments: Moments) -> Gradients:
    """Loss 0.5 E|y - F G x|^2 and its gradients (Eq. 5's) from the moments of x and y."""
    features, head = weights
    feature_x = times_seed_matrix(features, moments.xx)  # G Sigma
    feature_y = times_seed_matrix(features, moments.yx.mT)  # E z y^T
    zz = feature_x @ features.mT
    head_gradient = head @ zz - feature_y.mT
    gram = head.mT @ head
    features_gradient = gram @ feature_x - times_seed_matrix(head.mT, moments.yx)
    # tr(F zz F^T) - 2 tr(F E[z y^T]) = sum of F * (F zz - 2 y z^T)
    cross = (head * (head_gradient - feature_y.mT)).sum(dim=(-2, -1))
    return Gradients(features_gradient, head_gradient, 0.5 * (moments.yy[:, None] + cross))


def least_squares_head(features: Tensor, moments: Moments) -> Tensor:
    """The head F that minimises the batch loss for given features: E[y z^T] (E[z z^T])^-1."""
    zz = times_seed_matrix(features, moments.xx) @ features.mT
    return solve_spd_right(times_seed_matrix(features, moments.yx.mT).mT, zz)


class Plain:
    """f(x) = F G x."""

    def __init__(self, population: Population) -> None:
        """The plain network needs nothing of the population."""

    def prepare(self, moments: Moments) -> Moments:
        return moments

    def observe(self, weights: Weights, moments: Moments) -> None:
        """Nothing is normalised."""

    def gradients(self, weights: Weights, prepared: Moments) -> Gradients:
        return linear_gradients(weights, prepared)

    def predictor(self, weights: Weights) -> Predictor:
        return Predictor(weights.features, weights.head, None)


class Whitened(Plain):
    """An oracle: f(x) = F G Sigma_x^(-1/2) x, with the population's Sigma_x."""

    def __init__(self, population: Population) -> None:
        self._whitening = population.covariance_power(-0.5)

    def prepare(self, moments: Moments) -> Moments:
        return moments.transformed_inputs(self._whitening)

    def predictor(self, weights: Weights) -> Predictor:
        return Predictor(times_seed_matrix(weights.features, self._whitening), weights.head, None)


class InputBatchNorm(Plain):
    """Batch-norm on the inputs: each coordinate of x is standardised with the batch's statistics.

    No learnt scale and shift: the linear layer that follows absorbs the one, and the targets have
    mean zero.
    """

    def __init__(self, population: Population) -> None:
        self._running = RunningStatistics()

    def prepare(self, moments: Moments) -> Moments:
        centred = moments.centred_inputs()
        variance = centred.xx.diagonal(dim1=-2, dim2=-1)
        return centred.scaled_inputs((variance + BN_EPSILON).rsqrt())

    def observe(self, weights: Weights, moments: Moments) -> None:
        variance = moments.centred_inputs().xx.diagonal(dim1=-2, dim2=-1)
        self._running.update(moments.x_mean[:, None, None, :], variance[:, None, None, :])

    def predictor(self, weights: Weights) -> Predictor:
        features = weights.features * self._running.scale()
        return Predictor(features, weights.head, -(features * self._running.mean).sum(dim=-1))


class HiddenBatchNorm(Plain):
    """Batch-norm after the first layer: f(x) = F (G x - mean) / sqrt(variance + epsilon).

    No learnt scale and shift, as for :class:`InputBatchNorm`. G x is linear in x, so its mean is G
    times the mean of x.
    """

    def __init__(self, population: Population) -> None:
        self._running = RunningStatistics()

    def observe(self, weights: Weights, moments: Moments) -> None:
        features = weights.features
        feature_x = times_seed_matrix(features, moments.centred_inputs().xx)
        mean = times_seed_matrix(features, moments.x_mean[:, :, None])
        self._running.update(mean, (feature_x * features).sum(dim=-1, keepdim=True))

    def gradients(self, weights: Weights, prepared: Moments) -> Gradients:
        """The plain network's with effective head A = F diag(s), plus the path through s(G)."""
        features, head = weights
        centred = prepared.centred_inputs()
        feature_x = times_seed_matrix(features, centred.xx)
        scale = ((feature_x * features).sum(dim=-1) + BN_EPSILON).rsqrt()  # s, (S, V, k)
        direct = linear_gradients(Weights(features, head * scale[:, :, None, :]), centred)
        scale_gradient = (direct.head * head).sum(dim=-2)  # dL/ds, where direct.head is dL/dA
        through_scale = (-(scale**3) * scale_gradient)[..., None] * feature_x
        return Gradients(
            direct.features + through_scale, direct.head * scale[:, :, None, :], direct.loss
        )

    def predictor(self, weights: Weights) -> Predictor:
        features = weights.features * self._running.scale()
        mean = self._running.scale() * self._running.mean * torch.ones_like(features[..., :1])
        return Predictor(features, weights.head, -mean.squeeze(-1))


NETWORKS = {
    "plain": Plain,
    "whitened": Whitened,
    "bn_input": InputBatchNorm,
    "bn_hidden": HiddenBatchNorm,
}
