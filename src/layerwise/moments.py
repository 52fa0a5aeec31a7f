"""First and second moments of a batch: all that a linear network's training needs to know of it.

For Gaussian inputs the moments are drawn exactly, without the batch: its centred second moment is
Wishart, by Bartlett's decomposition. The cost of a step then does not depend on the batch size n.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from layerwise.problem import Population
from layerwise.streams import generator


@dataclass(frozen=True)
class Moments:
    """Averages over a batch of n pairs (x, y), for S seeds.

    xx = mean of x x^T (S, d_x, d_x), the Sigma_x hat of Eq. 5; yx = mean of y x^T (S, d_y, d_x);
    yy = mean of |y|^2 (S,); x_mean (S, d_x); y_mean (S, d_y). None is centred.
    """

    xx: Tensor
    yx: Tensor
    yy: Tensor
    x_mean: Tensor
    y_mean: Tensor

    @classmethod
    def of_batch(cls, x: Tensor, y: Tensor) -> "Moments":
        """Moments of raw batches x (S, n, d_x) and y (S, n, d_y)."""
        n = x.shape[1]
        return cls(
            xx=x.mT @ x / n,
            yx=y.mT @ x / n,
            yy=y.square().sum(dim=(1, 2)) / n,
            x_mean=x.mean(dim=1),
            y_mean=y.mean(dim=1),
        )

    def centred_inputs(self) -> "Moments":
        """The moments of (x - mean of x, y) on the same batch."""
        return replace(
            self,
            xx=self.xx - self.x_mean[:, :, None] * self.x_mean[:, None, :],
            yx=self.yx - self.y_mean[:, :, None] * self.x_mean[:, None, :],
            x_mean=torch.zeros_like(self.x_mean),
        )

    def transformed_inputs(self, map: Tensor) -> "Moments":
        """The moments of (M x, y) for symmetric M (S, d_x, d_x)."""
        return replace(
            self,
            xx=map @ self.xx @ map,
            yx=self.yx @ map,
            x_mean=(map @ self.x_mean[:, :, None]).squeeze(-1),
        )

    def scaled_inputs(self, scale: Tensor) -> "Moments":
        """The moments of (s * x, y) for a scale s of each coordinate (S, d_x)."""
        return replace(
            self,
            xx=self.xx * scale[:, :, None] * scale[:, None, :],
            yx=self.yx * scale[:, None, :],
            x_mean=self.x_mean * scale,
        )


class GaussianMoments:
    """An endless stream of exact batch moments for x ~ N(0, Sigma_x).

    Write the batch as columns x_i = root u_i + mean. With m = n - 1 degrees of freedom and
    r = min(d_x, m), the centred U equals A Q, where Q has r orthonormal rows and A (d_x, r) is lower
    trapezoidal with independent entries: chi(m - j) on the diagonal, N(0, 1) below it (Bartlett 1933).
    The noise's coordinates along Q are standard normal (d_y, r); the rest of its energy is
    chi-square with d_y (m - r) degrees of freedom. Means are independent Gaussians of variance 1/n.
    """

    def __init__(
        self, population: Population, batch_size: int, seeds: Sequence[int], purpose: str
    ) -> None:
        self._joint = _joint_map(population) / batch_size**0.5
        self._noise = population.noise
        self._n = batch_size
        self._d_x, self._d_y = population.features.shape[-1], population.head.shape[-2]
        self._rank = min(self._d_x, batch_size - 1)
        rows, columns = np.tril_indices(self._d_x, -1, self._rank)
        self._below = rows * (self._rank + 1) + columns  # places in a flattened factor
        self._normals = [generator(f"{purpose}: normals", seed) for seed in seeds]
        self._chis = [generator(f"{purpose}: chi-squares", seed) for seed in seeds]
        degrees = np.append(
            batch_size - 1.0 - np.arange(self._rank), self._d_y * (batch_size - 1 - self._rank)
        )
        self._degrees = np.maximum(degrees, np.finfo(float).tiny)  # chi-square of 0 degrees is 0

    def next(self) -> Moments:
        """The moments of the next batch."""
        standard, energy = self._draw_factor()
        factor = self._joint @ standard  # rows of x, then of y
        x, y = factor[:, : self._d_x], factor[:, self._d_x :]
        products = factor @ x.mT
        return Moments(
            xx=products[:, : self._d_x],
            yx=products[:, self._d_x :],
            yy=y.square().sum(dim=(-2, -1)) + energy * (self._noise**2 / self._n),
            x_mean=x[..., -1],
            y_mean=y[..., -1],
        )

    def _draw_factor(self) -> tuple[Tensor, Tensor]:
        """A factor of n times the standardised second moments, and the noise's remaining energy.

        The factor (S, d_x + d_y, r + 1) has the rows of u, then those of the standard noise; its
        last column is sqrt(n) times the means, so that the moments come out uncentred.
        """
        d_x, rank = self._d_x, self._rank
        below, along = len(self._below), self._d_y * rank
        factor = np.zeros((len(self._normals), d_x + self._d_y, rank + 1))
        energy = np.empty(len(factor))
        for index, own in enumerate(factor):
            z = self._normals[index].standard_normal(below + along + len(own))
            chi_square = self._chis[index].chisquare(self._degrees)
            own.reshape(-1)[self._below] = z[:below]
            own[np.arange(rank), np.arange(rank)] = np.sqrt(chi_square[:rank])
            own[d_x:, :rank] = z[below : below + along].reshape(-1, rank)
            own[:, rank] = z[below + along :]
            energy[index] = chi_square[rank]
        like = self._joint
        return (
            torch.as_tensor(factor, dtype=like.dtype, device=like.device),
            torch.as_tensor(energy, dtype=like.dtype, device=like.device),
        )


def _joint_map(population: Population) -> Tensor:
    """The map from (u, standard noise) to (x, y): shape (S, d_x + d_y, d_x + d_y)."""
    root = population.covariance_power(0.5)
    d_y = population.head.shape[-2]
    noise = population.noise * torch.eye(d_y, dtype=root.dtype, device=root.device)
    return torch.cat(
        [
            torch.cat([root, root.new_zeros(*root.shape[:2], d_y)], dim=-1),
            torch.cat([population.map @ root, noise.expand(len(root), -1, -1)], dim=-1),
        ],
        dim=-2,
    )
