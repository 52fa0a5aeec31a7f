"""Population metrics of a predictor: excess loss, subspace distance, transfer loss.

All are batched: shapes (S, V). A diverged run's metrics are set to NaN by the training loop.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class TransferTask:
    """A new task with the same features G*: the head is refitted on the frozen representation G x.

    ``sample`` holds the moments of the n_transfer samples for the refit. An offset of the features
    is left out of the refit: both the true map and the inputs' mean are without one.
    """

    population: Population
    root: Tensor
    sample: Moments

    def sample_loss(self, features: Tensor) -> Tensor:
        """Excess population loss after a least-squares refit on the sample."""
        return self._loss(features, least_squares_head(features, self.sample))

    def population_loss(self, features: Tensor) -> Tensor:
        """Excess population loss of the best head F* G* Sigma G^T (G Sigma G^T)^-1."""
        covariance = self.root @ self.root
        limit = Moments(
            xx=covariance,
            yx=self.population.map @ covariance,
            yy=covariance.new_zeros(len(covariance)),
            x_mean=covariance.new_zeros(covariance.shape[:2]),
            y_mean=covariance.new_zeros(self.population.map.shape[:2]),
        )
        return self._loss(features, least_squares_head(features, limit))

    def _loss(self, features: Tensor, head: Tensor) -> Tensor:
        return map_loss(head @ features - self.population.map[:, None], self.root)
