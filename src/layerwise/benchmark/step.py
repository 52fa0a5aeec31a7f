"""One step of the moment engine on its own: without recording, and without the check for divergence."""

from collections.abc import Callable

import numpy as np
import torch

from layerwise.data.instances import draw
from layerwise.data.moments import GaussianMoments
from layerwise.data.population import populations
from layerwise.methods.base import Grid, Method
from layerwise.networks.linear import Weights
from layerwise.settings.run import RunSettings
from layerwise.settings.task import LinearTask


def moment_step(settings: RunSettings) -> Callable[[], Weights]:
    """Draws the next batch's moments and takes a step of all runs, always from the initial weights."""
    task = settings.task
    assert isinstance(task, LinearTask)
    dtype, drawn = getattr(torch, settings.dtype), draw(task, settings.seeds)
    population, _ = populations(drawn, task.noise, dtype, settings.device)
    grid = Grid(settings.method, dtype, settings.device)

    def of_variants(array: np.ndarray) -> torch.Tensor:
        matrices = torch.as_tensor(array, dtype=dtype, device=settings.device)
        return matrices[:, None].repeat(1, len(grid), 1, 1)

    weights = Weights(of_variants(drawn.features_init), of_variants(drawn.head_init))
    method = Method(settings.method, grid, population, weights)
    stream = GaussianMoments(population, task.batch_size, settings.seeds, "batches")
    return lambda: method.step(weights, [stream.next()])
