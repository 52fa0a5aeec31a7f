"""The training loop: one tensor program for all seeds, step sizes and damping values of a method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.methods.base import Method
from layerwise.metrics.linear import (
    TransferTask,
    excess_loss,
    head_sigma_min,
    outside_norm,
    subspace_distance,
)
from layerwise.networks.linalg import orthonormal_rows
from layerwise.networks.linear import Weights
from layerwise.results.tables import METRICS

# A transfer task's metrics, and those that have nothing to do with one.
TRANSFER_METRICS = ("transfer_loss", "transfer_loss_population")
OWN_METRICS = tuple(name for name in METRICS if name not in TRANSFER_METRICS)

# A run whose weights pass this bound, or are not finite, has diverged: weights are of order one here.
WEIGHT_BOUND = 1e6


class Stream(Protocol):
    """A source of batches' moments."""

    def next(self) -> Moments:
        """The next batch."""


@dataclass(frozen=True)
class Trace:
    """steps (R,); each metric (R, S, V); diverged_at (S, V): the step that was refused, or -1."""

    steps: np.ndarray
    metrics: dict[str, np.ndarray]
    diverged_at: np.ndarray


def record_steps(steps: int, every: int | str) -> list[int]:
    """The recorded steps, 0 and the last included.

    ``every`` is an interval, or "log": each step at first, then steps 5 % apart.
    """
    if isinstance(every, str):
        count = 1 + int(np.log(max(steps, 1)) / np.log(1.05))
        points = np.geomspace(1, steps, count) if steps else np.zeros(1)
        return sorted({0, steps, *np.rint(points).astype(int).tolist()})
    return sorted({*range(0, steps + 1, every), steps})


def _runs_ok(weights: Weights) -> Tensor:
    """Which runs (S, V) have finite weights within the bound; NaN compares as False."""
    features, head = weights
    return (features.abs().amax(dim=(-2, -1)) <= WEIGHT_BOUND) & (
        head.abs().amax(dim=(-2, -1)) <= WEIGHT_BOUND
    )


def _accept(ok: Tensor, new: Weights, old: Weights) -> Weights:
    """The new weights where a run is ok, the old ones where it is not."""
    return Weights(torch.where(ok, new.features, old.features), torch.where(ok, new.head, old.head))


def train(
    method: Method,
    weights: Weights,
    population: Population,
    transfers: Sequence[TransferTask],
    streams: Sequence[Stream],
    recorded: Sequence[int],
    report: Callable[[int], None],
    stop_at: float | None = None,
) -> list[Trace]:
    """Train for max(recorded) steps and evaluate at each recorded step: a trace for each transfer
    task.

    ``streams`` has one stream for each batch of a step. A run that diverges is frozen at its last
    good weights and its metrics are NaN from then on; the others never notice. ``report`` is called
    with each recorded step. With ``stop_at``, training ends at the first recorded step by which one
    variant has reached that subspace distance with every seed: no other can then have a smaller
    median first passage that is not known already.
    """
    diverged_at = torch.full(weights.features.shape[:2], -1, device=weights.features.device)
    root = population.covariance_power(0.5)
    rows: list[Tensor] = []
    due = set(recorded)
    reached = torch.zeros_like(diverged_at, dtype=torch.bool)
    for step in range(max(recorded) + 1):
        batches = [stream.next() for stream in streams]
        if step in due:
            metrics = _evaluate(method, weights, population, root, transfers, batches[0])
            rows.append(torch.where(diverged_at >= 0, torch.nan, metrics))
            report(step)
            if stop_at is not None:
                reached |= rows[-1][OWN_METRICS.index("subspace_distance")] <= stop_at
                if bool(reached.all(dim=0).any()):
                    break
        if step < max(recorded):
            proposed = method.step(weights, batches)
            ok = _runs_ok(proposed) & (diverged_at < 0)
            diverged_at = torch.where(ok | (diverged_at >= 0), diverged_at, step + 1)
            weights = _accept(ok[..., None, None], proposed, weights)
    values = torch.stack(rows, dim=1).cpu().numpy()
    done = np.asarray(sorted(due)[: len(rows)])
    own = dict(zip(OWN_METRICS, values, strict=False))
    pairs = values[len(own) :].reshape(-1, 2, *values.shape[1:])
    return [
        Trace(done, own | dict(zip(TRANSFER_METRICS, pair, strict=True)), diverged_at.cpu().numpy())
        for pair in pairs
    ]


def _evaluate(
    method: Method,
    weights: Weights,
    population: Population,
    root: Tensor,
    transfers: Sequence[TransferTask],
    batch: Moments,
) -> Tensor:
    """OWN_METRICS, then TRANSFER_METRICS of each of T tasks, stacked: (M - 2 + 2 T, S, V). The training
    loss is on the coming batch."""
    predictor = method.predictor(weights)
    # Distances and refits depend on the row space alone; an orthonormal basis keeps them accurate.
    basis = orthonormal_rows(predictor.features)
    return torch.stack(
        [
            method.loss(weights, batch),
            excess_loss(predictor, population, root),
            subspace_distance(basis, population.features),
            outside_norm(predictor.features, population.features),
            head_sigma_min(predictor.head),
            *(loss for transfer in transfers for loss in transfer.losses(basis)),
        ]
    )
