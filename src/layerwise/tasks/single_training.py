"""Training of the single-index network beyond one step: the loop, and what is measured on the way.

One tensor program trains all seeds and variants (damping values x step sizes) of a method. What a run
has learnt is measured on fresh samples, in the original coordinates x: where the network transforms
its inputs by T, its map is G T.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from layerwise.data.single_index import Instance, OneStepProblem, draw_fresh, draw_instance
from layerwise.methods.base import Grid
from layerwise.methods.single_rules import make_rule
from layerwise.metrics.ridge import (
    ACTIVATIONS,
    cosine,
    leading_singular,
    standardise,
    validated_ridge,
)
from layerwise.networks.linear import Weights
from layerwise.networks.single_index import (
    ARCHITECTURES,
    Architecture,
    Batches,
    SingleIndexNetwork,
    reaching_first_layer,
)
from layerwise.settings.run import MethodSettings
from layerwise.tasks.loop import WEIGHT_BOUND, Trace

# The last four are those of SeedMeasures.
METRICS = (
    "train_loss",
    "alignment",
    "validation_error",
    "test_error",
    "network_error",
)


class SeedMeasures:
    """What a network of one seed has learnt.

    A ridge readout is refitted on the features of a fresh sample. Of the samples held out for
    validation, the first half chooses its strength, and the other half measures
    ``validation_error``, by which step sizes are to be selected: the test sample selects nothing.
    Batch-norms take the statistics of the refit's sample. Errors are E(y - prediction)^2 / Var(y) of
    each sample, the label noise in both, added exactly and not sampled.
    """

    def __init__(
        self, problem: OneStepProblem, architecture: Architecture, instance: Instance, seed: int
    ) -> None:
        fit, held_out, test = draw_fresh(problem, instance, seed)
        half = len(held_out.labels) // 2
        self._sizes = [len(fit.labels), half, len(held_out.labels) - half, len(test.labels)]
        x = instance.from_eigenbasis(torch.cat([fit.inputs, held_out.inputs, test.inputs]))
        self._inputs = architecture.inputs(x[: self._sizes[0]], instance)
        self._x = reaching_first_layer(self._inputs, x)
        self._labels = torch.cat([fit.labels, held_out.labels]).split(self._sizes[:3])
        clean = torch.cat([fit.clean, held_out.clean, test.clean]).split(self._sizes)
        self._validation, self._test = clean[2:]
        self._noise, self._instance = problem.noise, instance
        self._activation = ACTIVATIONS[problem.activation]
        self._normalises_hidden = architecture.normalises_hidden

    def measure(self, features: Tensor, head: Tensor) -> list[float]:
        """METRICS but the training loss, for G (width, d) and f (width,).

        ``alignment`` is |cosine| of beta with the top right singular vector of the map's change since
        the start (NaN without a change), ``test_error`` the refitted readout's, and ``network_error``
        that of f on the test sample.
        """
        change = self._inputs.transform(features - self._instance.features)
        moved = self._alignment(change) if bool(change.any()) else torch.nan
        hidden = self._x @ features.mT
        if self._normalises_hidden:
            hidden = standardise(hidden, hidden[: self._sizes[0]])[0]
        z_fit, z_choice, z_validation, z_test = self._activation.value(hidden).split(self._sizes)
        ridge = validated_ridge(z_fit, self._labels[0], z_choice, self._labels[1])
        return [
            moved,
            self._error(ridge.predict(z_validation), self._validation),
            self._error(ridge.predict(z_test), self._test),
            self._error(z_test @ head, self._test),
        ]

    def _alignment(self, rows: Tensor) -> float:
        return abs(cosine(leading_singular(rows, 1).top, self._instance.direction))

    def _error(self, prediction: Tensor, clean: Tensor) -> float:
        noise = self._noise**2
        excess = float((prediction - clean).square().mean())
        return (excess + noise) / (float(clean.var(correction=0)) + noise)


class Runs:
    """A method's runs on a problem: all seeds with all variants of its grid, from the same start."""

    def __init__(
        self,
        problem: OneStepProblem,
        method: MethodSettings,
        seeds: Sequence[int],
        layers: str,
        samples: str,
        dtype: torch.dtype,
        device: str,
    ) -> None:
        architecture = ARCHITECTURES[method.network]
        grid = Grid(method, dtype, device)
        instances = [draw_instance(problem, seed, dtype, device) for seed in seeds]
        readouts = torch.stack([instance.readout for instance in instances])
        self.weights = Weights(
            _for_variants(torch.stack([instance.features for instance in instances]), grid),
            _for_variants(readouts[:, None], grid),
        )
        # G grows to order 1/|f| legitimately, where it fits labels of order one through f; in these
        # units its entries are of order one, as those of f and of linear networks are.
        unit = (1 / readouts.norm(dim=-1)).clamp(min=1)
        self._bound = WEIGHT_BOUND * unit[:, None]
        self.batches = Batches(problem, architecture, instances, seeds, samples == "fresh")
        self.network = SingleIndexNetwork(
            problem.activation, architecture.normalises_hidden, layers == "both"
        )
        self.rule = make_rule(method, self.network, grid, self.weights)
        self.measures = [
            SeedMeasures(problem, architecture, instance, seed)
            for instance, seed in zip(instances, seeds, strict=True)
        ]

    def ok(self, weights: Weights) -> Tensor:
        """Which runs (S, V) have finite weights within the bound; NaN compares as False."""
        features, head = weights
        return (features.abs().amax(dim=(-2, -1)) <= self._bound) & (
            head.abs().amax(dim=(-2, -1)) <= WEIGHT_BOUND
        )

    def measure_start(self) -> Tensor:
        """METRICS but the training loss at the start, (M - 1, S, V): the same for a seed's variants."""
        first = torch.zeros(self.weights.features.shape[:2], dtype=torch.bool)
        first[:, 0] = True
        values = self.measure(self.weights, first)
        return values[..., :1].expand_as(values)

    def measure(self, weights: Weights, measured: Tensor) -> Tensor:
        """METRICS but the training loss, (M - 1, S, V), where ``measured`` (S, V), else NaN."""
        features, head = weights
        values = features.new_full((*measured.shape, len(METRICS) - 1), torch.nan)
        for s, v in measured.nonzero().tolist():
            row = self.measures[s].measure(features[s, v], head[s, v, 0])
            values[s, v] = features.new_tensor(row)
        return values.movedim(-1, 0)


def train(runs: Runs, recorded: Sequence[int], report: Callable[[int], None]) -> Trace:
    """Train for max(recorded) steps and measure METRICS at each recorded step.

    The training loss is on the coming batch. A run that diverges is frozen at its last good weights
    and its metrics are NaN from then on; the others never notice. ``report`` is called with each
    recorded step.
    """
    weights, due = runs.weights, set(recorded)
    shape, device = weights.features.shape[:2], weights.features.device
    diverged_at = torch.full(shape, -1, device=device)
    rows: list[Tensor] = []
    for step in range(max(recorded) + 1):
        batch = runs.batches.next()
        alive = diverged_at < 0
        if step in due:
            loss = torch.where(alive, runs.network.loss(weights, batch), torch.nan)
            measured = runs.measure(weights, alive) if step else runs.measure_start()
            rows.append(torch.cat([loss[None], measured]))
            report(step)
        if step < max(recorded):
            proposed = runs.rule.step(weights, batch)
            ok = runs.ok(proposed) & alive
            diverged_at = torch.where(ok | ~alive, diverged_at, step + 1)
            kept = ok[..., None, None]
            weights = Weights(
                torch.where(kept, proposed.features, weights.features),
                torch.where(kept, proposed.head, weights.head),
            )
    values = torch.stack(rows, dim=1).cpu().numpy()
    metrics = dict(zip(METRICS, values, strict=True))
    return Trace(np.asarray(sorted(due)), metrics, diverged_at.cpu().numpy())


def _for_variants(matrices: Tensor, grid: Grid) -> Tensor:
    """A seed's matrix for every variant: (S, rows, columns) to (S, V, rows, columns)."""
    return matrices[:, None].expand(-1, len(grid), -1, -1).contiguous()
