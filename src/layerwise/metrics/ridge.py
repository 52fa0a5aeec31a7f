"""Ridge regression on a layer's features: one eigendecomposition serves every strength."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# Strengths in units of the features' mean variance (ours): 1e-7 to 1e4, three a decade.
STRENGTHS = tuple(10.0 ** (exponent / 3) for exponent in range(-21, 13))


class Ridge(NamedTuple):
    """A fitted predictor; weights (p,), or (p, strengths) and (strengths,) for several at once."""

    weights: Tensor
    intercept: Tensor
    strength: Tensor  # in units of the features' variance

    def predict(self, features: Tensor) -> Tensor:
        """Predictions (n,), or (n, strengths), for features (n, p)."""
        return features @ self.weights + self.intercept


def ridge_path(features: Tensor, labels: Tensor, strengths: Sequence[float]) -> Ridge:
    """Minimise mean (y - w^T z - b)^2 + strength |w|^2 for each strength > 0.

    features (n, p), labels (n,), ``strengths`` relative to the mean variance of a feature. The
    eigendecomposition is of size min(n, p). The intercept b is not penalised.
    """
    n, p = features.shape
    mean, label_mean = features.mean(dim=0), labels.mean()
    centred, target = features - mean, labels - label_mean
    scale = centred.square().sum() / (n * p)
    penalties = features.new_tensor(strengths) * torch.where(scale > 0, scale, 1.0)
    if p <= n:
        values, vectors = torch.linalg.eigh(centred.mT @ centred / n)
        projected = vectors.mT @ (centred.mT @ target) / n
        weights = vectors @ (projected[:, None] / (values.clamp(min=0)[:, None] + penalties))
    else:
        values, vectors = torch.linalg.eigh(centred @ centred.mT / n)
        projected = vectors.mT @ target / n
        dual = vectors @ (projected[:, None] / (values.clamp(min=0)[:, None] + penalties))
        weights = centred.mT @ dual
    return Ridge(weights, label_mean - mean @ weights, penalties)


def validated_ridge(
    features: Tensor, labels: Tensor, held_out: Tensor, held_out_labels: Tensor
) -> Ridge:
    """The ridge fit whose strength, of ``STRENGTHS``, has the least error on held-out samples."""
    path = ridge_path(features, labels, STRENGTHS)
    error = (path.predict(held_out) - held_out_labels[:, None]).square().mean(dim=0)
    best = int(error.argmin())
    return Ridge(path.weights[:, best], path.intercept[best], path.strength[best])
