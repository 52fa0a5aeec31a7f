"""The loop that a paper's code usually has: raw batches, autograd, torch.optim; nothing of the engines.

All functions take matrices of one run, or of several with their seeds as a leading axis. A second
axis for the samples comes before a row's coordinates: x (…, n, d_x), y (…, n, d_y).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from layerwise.data.population import Population

# Changes the weights that it was made with, by one batch.
Step = Callable[[Tensor, Tensor], None]


def batch_loss(features: Tensor, head: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Half the batch's mean squared error, summed over seeds, whose gradients stay apart."""
    error = x @ features.mT @ head.mT - y
    return 0.5 * error.square().sum(dim=-1).mean(dim=-1).sum()


def sgd(features: Tensor, head: Tensor, lr: float) -> Step:
    """torch.optim.SGD on both layers."""
    return _first_order(torch.optim.SGD([features, head], lr=lr), features, head)


def adam(features: Tensor, head: Tensor, lr: float) -> Step:
    """torch.optim.Adam on both layers."""
    return _first_order(torch.optim.Adam([features, head], lr=lr), features, head)


def _first_order(optimizer: torch.optim.Optimizer, features: Tensor, head: Tensor) -> Step:
    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        batch_loss(features, head, x, y).backward()
        optimizer.step()

    return step


def kfac(features: Tensor, head: Tensor, lr: float) -> Step:
    """Eq. 5 with P_G = F^T F, undamped, and eta_F = eta_G = ``lr``."""

    def step(x: Tensor, y: Tensor) -> None:
        n = x.shape[-2]
        (gradient,) = torch.autograd.grad(batch_loss(features, head, x, y), [features])
        with torch.no_grad():
            half = torch.linalg.solve(head.mT @ head, gradient)
            features.sub_(lr * torch.linalg.solve(x.mT @ x / n, half.mT).mT)
        (gradient,) = torch.autograd.grad(batch_loss(features, head, x, y), [head])
        with torch.no_grad():
            z = x @ features.mT
            head.sub_(lr * torch.linalg.solve(z.mT @ z / n, gradient.mT).mT)

    return step


STEPS: dict[str, Callable[[Tensor, Tensor, float], Step]] = {"sgd": sgd, "adam": adam, "kfac": kfac}


def subspace_distance(features: Tensor, features_true: Tensor) -> Tensor:
    """Sine of the largest principal angle between row spaces (…, k, d_x)."""
    basis = torch.linalg.qr(features.mT).Q
    outside = basis - features_true.mT @ (features_true @ basis)
    return torch.linalg.matrix_norm(outside, ord=2)


class PlainLoop:
    """Fresh batches of a population's first seed, or of all its seeds at once.

    ``features`` and ``head`` are the initial weights of all seeds, (S, k, d_x) and (S, d_y, k).
    """

    def __init__(
        self, population: Population, features: Tensor, head: Tensor, n: int, one_seed: bool
    ) -> None:
        which = 0 if one_seed else slice(None)
        self._root = population.covariance_power(0.5)[which]
        self._map = population.map[which]
        self._noise = population.noise
        self._features_true = population.features[which]
        self._start = features[which], head[which]
        self._n = n
        self._rng = torch.Generator(device=features.device).manual_seed(0)

    def batch(self) -> tuple[Tensor, Tensor]:
        """The next batch x = root u, y = F* G* x + eps."""
        x = self._normal(self._root.shape[-1]) @ self._root
        return x, x @ self._map.mT + self._noise * self._normal(self._map.shape[-2])

    def _normal(self, columns: int) -> Tensor:
        like = self._root
        shape = (*like.shape[:-2], self._n, columns)
        return torch.randn(shape, generator=self._rng, dtype=like.dtype, device=like.device)

    def train(self, method: str, lr: float, steps: int, every: int) -> list[Tensor]:
        """Train from the initial weights; the subspace distance at each multiple of ``every``."""
        features, head = (weight.clone().requires_grad_() for weight in self._start)
        step = STEPS[method](features, head, lr)
        distances = []
        for number in range(steps + 1):
            if number % every == 0:
                distances.append(subspace_distance(features.detach(), self._features_true))
            if number < steps:
                step(*self.batch())
        return distances
