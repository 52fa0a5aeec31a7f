"""First and second moments of a batch: all that a linear network's training needs to know of it.

For Gaussian inputs the moments are drawn exactly, without the batch: its centred second moment is
Wishart, by Bartlett's decomposition. The cost of a step then does not depend on the batch size n.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from layerwise.data.population import Population
from layerwise.data.streams import generator


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

    @classmethod
    def joined(cls, parts: "Sequence[Moments]") -> "Moments":
        """Those of several groups of seeds, one after the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    @cached_property
    def centred(self) -> "Moments":
        """Of (x - mean of x, y) on the same batch."""
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


@dataclass(frozen=True)
class Draw:
    """What a batch's moments are made of, for S seeds: x (S, d_x, r + 1), whose second moment is the
    batch's, the noise (S, d_y, r + 1) beside it, and the noise's remaining energy (S,)."""

    x: Tensor
    noise: Tensor
    energy: Tensor

    @cached_property
    def xx(self) -> Tensor:
        """The mean of x x^T."""
        return self.x @ self.x.mT


class GaussianDraws:
    """An endless sequence of draws for x ~ N(0, Sigma_x), whatever y is made of it.

    Write the batch as columns x_i = root u_i + mean. With m = n - 1 degrees of freedom and
    r = min(d_x, m), the centred U equals A Q, where Q has r orthonormal rows and A (d_x, r) is lower
    trapezoidal with independent entries: chi(m - j) on the diagonal, N(0, 1) below it (Bartlett 1933).
    The noise's coordinates along Q are standard normal (d_y, r); the rest of its energy is
    chi-square with d_y (m - r) degrees of freedom. Means are independent Gaussians of variance 1/n.

    Normals are drawn in the dtype of ``root``, Sigma_x^(1/2) (S, d_x, d_x): float32 is not a rounding of
    float64's stream.
    """

    def __init__(
        self, root: Tensor, d_y: int, batch_size: int, seeds: Sequence[int], purpose: str
    ) -> None:
        s, self._d_x, _ = root.shape
        self._root, self._d_y = root / batch_size**0.5, d_y
        self._rank = min(self._d_x, batch_size - 1)
        rows, columns = np.tril_indices(self._d_x, -1, self._rank)
        # Places in a flattened factor, whose last column holds the means.
        self._below = torch.from_numpy(rows * (self._rank + 1) + columns)
        self._diagonal = torch.arange(self._rank) * (self._rank + 2)
        self._counts = [len(rows), d_y * self._rank, self._d_x, d_y]
        self._normals = [normals(f"{purpose}: normals", seed, root.dtype) for seed in seeds]
        self._chis = [generator(f"{purpose}: chi-squares", seed) for seed in seeds]
        degrees = np.append(
            batch_size - 1.0 - np.arange(self._rank), d_y * (batch_size - 1 - self._rank)
        )
        self._degrees = np.maximum(degrees, np.finfo(float).tiny)  # chi-square of 0 degrees is 0
        # Written anew at each draw; what lies above the diagonal stays zero.
        self._drawn = torch.empty(s, sum(self._counts), dtype=root.dtype)
        self._factor = torch.zeros(s, self._d_x * (self._rank + 1), dtype=root.dtype)
        self._count = 0
        self._last: Draw | None = None

    def at(self, place: int) -> Draw:
        """The draw at a place in the sequence: the last one again, or the next."""
        if place == self._count:
            self._last, self._count = self._next(), self._count + 1
        assert self._last is not None and place == self._count - 1, "those who share go in step"
        return self._last

    def _next(self) -> Draw:
        """Of a factor (S, d_x, r + 1) of n times u's second moments, whose last column is sqrt(n) times the
        means, so that the moments come out uncentred."""
        for draw, out in zip(self._normals, self._drawn, strict=True):
            draw(out)
        chi_squares = np.stack([rng.chisquare(self._degrees) for rng in self._chis])
        below, along, mean, noise_mean = self._drawn.split(self._counts, dim=1)
        self._factor.index_copy_(1, self._below, below)
        chis = torch.from_numpy(np.sqrt(chi_squares[:, :-1])).to(self._factor)
        self._factor.index_copy_(1, self._diagonal, chis)
        factor = self._factor.view(-1, self._d_x, self._rank + 1)
        factor[..., -1] = mean
        noise = torch.cat([along.view(-1, self._d_y, self._rank), noise_mean[..., None]], dim=-1)
        device = self._root.device
        energy = torch.from_numpy(chi_squares[:, -1]).to(self._root)
        return Draw(self._root @ factor.to(device), noise.to(device), energy)


class GaussianMoments:
    """An endless stream of exact batch moments: of the draws, which several streams may share, and of
    y = map x + noise."""

    def __init__(self, population: Population, batch_size: int, draws: GaussianDraws) -> None:
        self._map = population.map
        self._noise, self._n = population.noise, batch_size
        self._draws, self._place = draws, 0

    def next(self) -> Moments:
        """The moments of the next batch."""
        draw = self._draws.at(self._place)
        self._place += 1
        y = torch.baddbmm(draw.noise, self._map, draw.x, beta=self._noise / self._n**0.5)
        return Moments(
            xx=draw.xx,
            yx=y @ draw.x.mT,
            yy=y.square().sum(dim=(-2, -1)) + draw.energy * (self._noise**2 / self._n),
            x_mean=draw.x[..., -1],
            y_mean=y[..., -1],
        )


def gaussian_moments(
    population: Population, batch_size: int, seeds: Sequence[int], purpose: str
) -> GaussianMoments:
    """A stream on draws of its own."""
    root, d_y = population.covariance_power(0.5), population.head.shape[-2]
    draws = GaussianDraws(root, d_y, batch_size, seeds, purpose)
    return GaussianMoments(population, batch_size, draws)


def normals(purpose: str, seed: int, dtype: torch.dtype) -> Callable[[Tensor], object]:
    """A stream's source of standard normal numbers: called with a tensor on the CPU, it fills it.

    In double precision NumPy is the faster, in single precision torch.
    """
    rng = generator(purpose, seed)
    if dtype == torch.float64:
        return lambda out: rng.standard_normal(out=out.numpy())
    own = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return lambda out: out.normal_(generator=own)
