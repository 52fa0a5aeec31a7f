"""A layer's features, ridge systems on them, and singular values, by one eigendecomposition each.

The decomposition of a sample's second moment serves every damping value, and that of a feature
matrix every ridge strength.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.networks.linear import BN_EPSILON

# Strengths in units of the features' mean variance (ours): 1e-7 to 1e4, three a decade.
STRENGTHS = tuple(10.0 ** (exponent / 3) for exponent in range(-21, 13))


class Activation(NamedTuple):
    """sigma and its derivative, elementwise; the derivative at a kink is autograd's."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _erf_slope(u: Tensor) -> Tensor:
    return torch.exp(-u.square()) * (2 / math.sqrt(math.pi))


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda u: 1 - torch.tanh(u).square()),
    "relu": Activation(torch.relu, lambda u: (u > 0).to(u.dtype)),
    "erf": Activation(torch.erf, _erf_slope),
    "linear": Activation(lambda u: u, torch.ones_like),
}


def standardise(hidden: Tensor, like: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Columns of hidden (n, width) with the mean and variance of ``like``'s (default: its own)
    taken out, and 1 / sqrt(variance + BN_EPSILON), shape (width,)."""
    variance, mean = torch.var_mean(hidden if like is None else like, dim=0, correction=0)
    scale = (variance + BN_EPSILON).rsqrt()
    return (hidden - mean) * scale, scale


class SecondMoment(NamedTuple):
    """X^T X / n on the span of the samples: positive eigenvalues (r,) and eigenvectors (d, r)."""

    values: Tensor
    vectors: Tensor

    def solve(self, rotated: Tensor, damping: float) -> Tensor:
        """rows (X^T X / n + damping I)^-1, shape (..., d), from ``rotated`` = rows @ vectors.

        Exact for rows in the span of the samples. At damping 0 it is the limit from above: the
        pseudo-inverse where there are fewer samples than dimensions.
        """
        return (rotated / (self.values + damping)) @ self.vectors.mT


def second_moment(x: Tensor) -> SecondMoment:
    """The second moment, not centred, of samples x (n, d)."""
    n, d = x.shape
    values, vectors = torch.linalg.eigh((x.mT @ x if d <= n else x @ x.mT) / n)
    keep = values > max(n, d) * torch.finfo(values.dtype).eps * values[-1]
    values, vectors = values[keep], vectors[:, keep]
    return SecondMoment(values, vectors if d <= n else x.mT @ (vectors / (n * values).sqrt()))


class Singular(NamedTuple):
    """Singular values, descending, and the right singular vector of the first, shape (d,)."""

    values: Tensor
    top: Tensor


def leading_singular(matrix: Tensor, count: int) -> Singular:
    """The ``count`` largest, by eigendecomposition of the Gram matrix of the smaller side.

    Values below about 1e-8 of the first (in float64) are rounding: an update of exact rank one has
    a ratio of that order, not an infinite one.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    powers, vectors = torch.linalg.eigh(matrix @ matrix.mT if wide else matrix.mT @ matrix)
    top = matrix.mT @ vectors[:, -1] if wide else vectors[:, -1]
    return Singular(powers.flip(0)[:count].clamp(min=0).sqrt(), top)


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of the angle between two vectors."""
    return float(a @ b / (a.norm() * b.norm()))


class Spike(NamedTuple):
    """Leading singular values of a layer's change and of the layer before and after it, and
    |cosine| of the change's top right singular vector with beta and with Sigma_x beta."""

    update: Tensor
    before: Tensor
    after: Tensor
    cosine_direction: float
    cosine_biased: float


def measured_spike(
    before: Tensor, change: Tensor, step_size: float, direction: Tensor, biased: Tensor, count: int
) -> Spike:
    """The ``count`` leading values, for matrices (width, d) and directions (d,)."""
    update = leading_singular(change, count)
    return Spike(
        update.values,
        leading_singular(before, count).values,
        leading_singular(before + step_size * change, count).values,
        abs(cosine(update.top, direction)),
        abs(cosine(update.top, biased)),
    )


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


class Sample(NamedTuple):
    """inputs (n, d), the noise-free target (n,), and labels (n,), the target plus noise."""

    inputs: Tensor
    clean: Tensor
    labels: Tensor


class Refit:
    """Test errors of a ridge readout refitted on the features of H = G x, for changes of G.

    ``samples`` are those of the fit, of the choice of the ridge strength, and of the test, all of
    them fresh. Features are activation(H), with H first ``normalised`` or not by the statistics of
    the fit's sample. Errors are E(y - prediction)^2 / Var(y), of labels with noise of standard
    deviation ``noise``, which is added exactly and not sampled.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        start: Tensor,
        activation: Activation,
        normalised: bool,
        noise: float,
    ) -> None:
        self._samples, self._noise = samples, noise
        self._activation, self._normalised = activation, normalised
        self._start = [sample.inputs @ start.mT for sample in samples]
        clean = samples[-1].clean
        self._variance = float(clean.var(correction=0)) + noise**2
        self.noise_floor = noise**2 / self._variance
        self.error_at_start = self._error(self._start)

    def errors(self, change: Tensor, step_sizes: Sequence[float]) -> list[float]:
        """Test errors with G = start + step size * change, change (width, d)."""
        moves = [sample.inputs @ change.mT for sample in self._samples]
        return [
            self._error(
                torch.add(h, move, alpha=lr) for h, move in zip(self._start, moves, strict=True)
            )
            for lr in step_sizes
        ]

    def error_linear(self, direction: Tensor) -> float:
        """Test error of the best multiple of direction^T x plus a constant, direction (d,)."""
        test = self._samples[-1]
        pair = torch.stack([test.inputs @ direction, test.clean])
        unexplained = 1 - float(torch.corrcoef(pair)[0, 1]) ** 2
        return self.noise_floor + unexplained * (1 - self.noise_floor)

    def _error(self, hidden: Iterable[Tensor]) -> float:
        """Test error for the three samples' H, taken one after the other to save memory. Features
        beyond the precision's range predict nothing: infinity."""
        hidden, (fit, held_out, test) = iter(hidden), self._samples
        reference = next(hidden)
        features = self._features(reference, reference)
        if not math.isfinite(float(features.square().sum())):
            return math.inf
        held_out_features = self._features(next(hidden), reference)
        ridge = validated_ridge(features, fit.labels, held_out_features, held_out.labels)
        del features, held_out_features
        prediction = ridge.predict(self._features(next(hidden), reference))
        excess = float((prediction - test.clean).square().mean())
        error = (excess + self._noise**2) / self._variance
        return error if math.isfinite(error) else math.inf

    def _features(self, hidden: Tensor, reference: Tensor) -> Tensor:
        if self._normalised:
            hidden = standardise(hidden, reference)[0]
        return self._activation.value(hidden)
