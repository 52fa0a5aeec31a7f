"""Population metrics of a predictor: excess loss, subspace distance, transfer loss.

All are batched: shapes (S, V). A diverged run's metrics are set to NaN by the training loop.
"""

import torch
from torch import Tensor

from layerwise.linalg import orthonormal_rows, times_seed_matrix
from layerwise.moments import Moments
from layerwise.networks import Predictor, least_squares_head
from layerwise.problem import Population


def map_loss(error: Tensor, root: Tensor) -> Tensor:
    """0.5 tr(E Sigma E^T) for map errors E (S, V, d_y, d_x) and a root of Sigma (S, d_x, d_x)."""
    return 0.5 * times_seed_matrix(error, root).square().sum(dim=(-2, -1))


def excess_loss(predictor: Predictor, population: Population, root: Tensor) -> Tensor:
    """0.5 tr[(F G - F* G*) Sigma_x (F G - F* G*)^T], plus half the squared mean prediction."""
    error = predictor.head @ predictor.features - population.map[:, None]
    loss = map_loss(error, root)
    if predictor.offset is not None:
        mean = predictor.head @ predictor.offset[..., None]
        loss = loss + 0.5 * mean.square().sum(dim=(-2, -1))
    return loss


def subspace_distance(features: Tensor, features_true: Tensor) -> Tensor:
    """Sine of the largest principal angle between the row spaces of G (S, V, k, d_x) and of G*.

    features_true (S, k, d_x) has orthonormal rows. Computed from the part outside the true
    subspace, so that small distances keep their digits.
    """
    basis = orthonormal_rows(features)
    inside = times_seed_matrix(basis, features_true.mT)
    outside = basis - times_seed_matrix(inside, features_true)
    return torch.linalg.eigvalsh(outside @ outside.mT)[..., -1].clamp(min=0).sqrt()


def outside_norm(features: Tensor, features_true: Tensor) -> Tensor:
    """Frobenius norm of G (I - G*^T G*), the features' component outside the true subspace."""
    inside = times_seed_matrix(features, features_true.mT)
    outside = features - times_seed_matrix(inside, features_true)
    return torch.linalg.matrix_norm(outside)


def head_sigma_min(head: Tensor) -> Tensor:
    """The smallest singular value of F, which sets SGD's slowest rate."""
    return torch.linalg.eigvalsh(head.mT @ head)[..., 0].clamp(min=0).sqrt()


class TransferTask:
    """A new task with the same features G*: the head is refitted on the frozen representation G x.

    ``sample`` holds the moments of the n_transfer samples for the refit. An offset of the features
    is left out of the refit: both the true map and the inputs' mean are without one.
    """

    def __init__(self, population: Population, sample: Moments) -> None:
        self._map = population.map[:, None]
        self._root = population.covariance_power(0.5)
        self._sample = sample
        self._limit = _population_moments(population)

    def sample_loss(self, features: Tensor) -> Tensor:
        """Excess population loss after a least-squares refit on the sample."""
        return self._loss(features, least_squares_head(features, self._sample))

    def population_loss(self, features: Tensor) -> Tensor:
        """Excess population loss of the best head F* G* Sigma G^T (G Sigma G^T)^-1."""
        return self._loss(features, least_squares_head(features, self._limit))

    def _loss(self, features: Tensor, head: Tensor) -> Tensor:
        return map_loss(head @ features - self._map, self._root)


def _population_moments(population: Population) -> Moments:
    """What the moments of a batch tend to as it grows."""
    covariance = population.covariance_power(1.0)
    yx = population.map @ covariance
    noise_energy = population.noise**2 * population.head.shape[1]
    return Moments(
        xx=covariance,
        yx=yx,
        yy=(yx * population.map).sum(dim=(-2, -1)) + noise_energy,
        x_mean=torch.zeros_like(covariance[:, 0]),
        y_mean=torch.zeros_like(yx[..., 0]),
    )
