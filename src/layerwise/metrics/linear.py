"""What is measured of a linear network: a function a metric, of what a network is at a recorded step.

All are batched: shapes (S, V). A diverged run's metrics are set to NaN by the training loop.
"""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.networks.base import Predictor, View
from layerwise.networks.linalg import orthonormal_rows, solve_spd_right, times_seed_matrix
from layerwise.networks.linear import least_squares_head


def true_map(population: Population, root: Tensor) -> Tensor:
    """F* G* R, shape (S, 1, d_y, d_x), for a root R of Sigma_x (S, d_x, d_x)."""
    return (population.head @ (population.features @ root))[:, None]


def excess_loss(predictor: Predictor, population: Population, root: Tensor) -> Tensor:
    """0.5 tr[(F G - F* G*) Sigma_x (F G - F* G*)^T], plus half the squared mean prediction."""
    weighted = times_seed_matrix(predictor.features, root)  # G R has fewer rows than F G - F* G*
    loss = _half_square(predictor.head @ weighted - true_map(population, root))
    if predictor.offset is not None:
        loss = loss + _half_square(predictor.head @ predictor.offset[..., None])
    return loss


def _half_square(matrix: Tensor) -> Tensor:
    """Half the squared Frobenius norm."""
    return 0.5 * matrix.square().sum(dim=(-2, -1))


def subspace_distance(basis: Tensor, features_true: Tensor) -> Tensor:
    """Sine of the largest principal angle between the row spaces of G and of G*.

    basis (S, V, k, d_x), of G's row space, and features_true (S, k, d_x) have orthonormal rows.
    Computed from the part outside the true subspace, so that small distances keep their digits.
    """
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


class TransferLoss(NamedTuple):
    """Excess population loss with the head refitted on a sample, and with the best head; each (S, V)."""

    sample: Tensor
    population: Tensor


class TransferTask:
    """A new task with the same features G*: the head is refitted on the frozen representation G x.

    ``sample`` holds the moments of the n_transfer samples for the refit. An offset of the features
    is left out of the refit: both the true map and the inputs' mean are without one.
    """

    def __init__(self, population: Population, sample: Moments) -> None:
        self._root = population.covariance_power(0.5)
        self._map = true_map(population, self._root)
        self._sample = sample

    def losses(self, features: Tensor) -> TransferLoss:
        """Of features (S, V, k, d_x), after a least-squares refit on the sample and with the best head
        F* G* Sigma G^T (G Sigma G^T)^-1."""
        weighted = times_seed_matrix(features, self._root)  # G R
        correlation = times_seed_matrix(weighted, self._map.squeeze(1).mT).mT
        best = solve_spd_right(correlation, weighted @ weighted.mT)
        fitted = least_squares_head(features, self._sample)
        return TransferLoss(*(_half_square(head @ weighted - self._map) for head in (fitted, best)))


class Evaluation:
    """A network at a recorded step: its view on the coming batch, its predictor, and the population."""

    def __init__(self, view: View, predictor: Predictor, population: Population, root: Tensor):
        """``root`` is Sigma_x^(1/2), (S, d_x, d_x)."""
        self.view, self.predictor, self.population, self.root = view, predictor, population, root

    @cached_property
    def basis(self) -> Tensor:
        """Orthonormal rows that span the features': distances and refits depend on the row space alone,
        and stay accurate."""
        return orthonormal_rows(self.predictor.features)


# The metrics of the network itself, by name.
METRICS: dict[str, Callable[[Evaluation], Tensor]] = {
    "train_loss": lambda at: at.view.loss,
    "excess_loss": lambda at: excess_loss(at.predictor, at.population, at.root),
    "subspace_distance": lambda at: subspace_distance(at.basis, at.population.features),
    "outside_norm": lambda at: outside_norm(at.predictor.features, at.population.features),
    "head_sigma_min": lambda at: head_sigma_min(at.predictor.head),
}
# And those on a transfer task.
TRANSFER_METRICS: dict[str, Callable[[TransferLoss], Tensor]] = {
    "transfer_loss": lambda losses: losses.sample,
    "transfer_loss_population": lambda losses: losses.population,
}
