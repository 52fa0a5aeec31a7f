"""What an update rule is, and how a method is put together from a rule and a network."""

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.networks.linear import NETWORKS, Network, Predictor, Weights
from layerwise.settings.run import MethodSettings


class Grid:
    """The variants trained side by side: every damping value with every step size, in that order.

    lr and damping have shape (V, 1, 1), to broadcast against weights (S, V, rows, columns), where
    V = len(dampings) * len(lrs).
    """

    def __init__(self, settings: MethodSettings, dtype: torch.dtype, device: str) -> None:
        self.dampings = torch.tensor(settings.damping or [0.0], dtype=dtype, device=device)
        lrs = torch.tensor(settings.lr, dtype=dtype, device=device)
        self.lr = lrs.repeat(len(self.dampings))[:, None, None]
        self.damping = self.dampings.repeat_interleave(len(lrs))[:, None, None]

    def __len__(self) -> int:
        return len(self.lr)


class Rule(Protocol):
    """One step of an optimiser on weights batched over S seeds and V variants.

    A rule is made with the grid and the options of its config file. ``batches_per_step`` says how
    many independent batches a step uses. ``start`` returns the rule's memory (None if it has none);
    ``step`` returns new weights and new memory and changes neither argument. Runs must not mix:
    whatever happens in one (seed, variant), the others stay bitwise the same. A step that cannot be
    taken is returned as NaN, and the loop records the run as diverged.
    """

    batches_per_step: int

    def start(self, weights: Weights) -> Any:
        """The memory before the first step."""

    def step(
        self, weights: Weights, batches: Sequence[Moments], memory: Any, network: Network
    ) -> tuple[Weights, Any]:
        """Weights and memory after one step on prepared batches."""


def load_rule(settings: MethodSettings, grid: Grid) -> Rule:
    """The rule that ``settings.rule`` names, as module.Class within this package."""
    module, name = settings.rule.split(".")
    rule: Rule = getattr(importlib.import_module(f"layerwise.methods.{module}"), name)(
        grid, **settings.options
    )
    return rule


class Method:
    """A rule training a network, with the state that both keep."""

    def __init__(
        self, settings: MethodSettings, grid: Grid, population: Population, weights: Weights
    ) -> None:
        self.network: Network = NETWORKS[settings.network](population)
        self.rule = load_rule(settings, grid)
        self.batches_per_step = self.rule.batches_per_step
        self._memory = self.rule.start(weights)

    def step(self, weights: Weights, batches: Sequence[Moments]) -> Weights:
        """One step from ``weights`` on raw (unprepared) batches."""
        self.network.observe(weights, batches[0])
        prepared = [self.network.prepare(batch) for batch in batches]
        weights, self._memory = self.rule.step(weights, prepared, self._memory, self.network)
        return weights

    def loss(self, weights: Weights, batch: Moments) -> Tensor:
        """Training loss on a batch, shape (S, V)."""
        return self.network.gradients(weights, self.network.prepare(batch)).loss

    def predictor(self, weights: Weights) -> Predictor:
        """The network as evaluated."""
        return self.network.predictor(weights)
