"""Raw batches, for inputs whose moments have no closed form, and to check the moment draws."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.data.streams import generator


class RawBatches:
    """An endless stream of raw batches: x = root u with u Gaussian or Rademacher, y = F* G* x + eps."""

    def __init__(
        self,
        population: Population,
        batch_size: int,
        seeds: Sequence[int],
        purpose: str,
        inputs: str = "gaussian",
    ) -> None:
        self._root = population.covariance_power(0.5)
        self._map = population.map @ self._root  # of u
        self._noise = population.noise
        self._n = batch_size
        self._inputs = inputs
        self._generators = [generator(f"{purpose}: raw", seed) for seed in seeds]

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """The next batch: x (S, n, d_x) and y (S, n, d_y)."""
        u, y = zip(*self._seeds(), strict=True)
        return torch.cat(u) @ self._root, torch.cat(y)

    def next(self) -> Moments:
        """The moments of the next batch: of u seed by seed, so that a seed's samples stay in the cache, and
        of x = root u by those."""
        of_u = Moments.joined([Moments.of_batch(u, y) for u, y in self._seeds()])
        return of_u.transformed_inputs(self._root)

    def _seeds(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each seed's u (1, n, d_x) and y (1, n, d_y)."""
        for rng, map in zip(self._generators, self._map, strict=True):
            u, noise = (
                torch.as_tensor(part, dtype=map.dtype, device=map.device)
                for part in self._draw(rng)
            )
            yield u[None], (u @ map.mT + self._noise * noise)[None]

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        d_y, d_x = self._map.shape[1:]
        shape = (self._n, d_x)
        if self._inputs == "rademacher":
            u = 2.0 * rng.integers(0, 2, size=shape) - 1.0
        else:
            u = rng.standard_normal(shape)
        return u, rng.standard_normal((self._n, d_y))
