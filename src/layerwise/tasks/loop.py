"""The training loop of every task: one tensor program for all seeds, step sizes and damping values."""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layerwise.methods.base import Steps, UndividedError, Update, lost_runs
from layerwise.networks.base import Layers, Network, View
from layerwise.tasks.runs import Runs
from layerwise.tasks.together import Stream, Training, together
from layerwise.theory.schedules import SCHEDULES

# A run whose weights pass this bound, or are not finite, has diverged: weights are of order one here.
WEIGHT_BOUND = 1e6
# Every so many steps: the device is asked which runs are left.
LOOK_EVERY = 10


# Values (S, V), or (S, 1) for all of a seed's variants, by metric, for a view on the coming batch; the
# mask (S, V) tells which runs have not diverged, of the variants that are still trained.
Measure = Callable[[View, Tensor], Mapping[Any, Tensor]]


@dataclass(frozen=True)
class Trace:
    """steps (R,); each metric (R, S, V); diverged_at (S, V): the step that was refused, or -1; and what
    was said of runs (s, v) whose step raised."""

    steps: np.ndarray
    metrics: dict[Any, np.ndarray]
    diverged_at: np.ndarray
    failures: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def alive(self) -> np.ndarray:
        """Which runs have not diverged at each step, (R, S, V)."""
        at = self.diverged_at[None]
        return (at < 0) | (at > self.steps[:, None, None])


def record_steps(steps: int, every: int | str) -> list[int]:
    """The recorded steps, 0 and the last included.

    ``every`` is an interval, or "log": each step at first, then steps 5 % apart.
    """
    if isinstance(every, str):
        count = 1 + int(np.log(max(steps, 1)) / np.log(1.05))
        points = np.geomspace(1, steps, count) if steps else np.zeros(1)
        return sorted({0, steps, *np.rint(points).astype(int).tolist()})
    return sorted({*range(0, steps + 1, every), steps})


def advancing(name: str, total: int, steps: Steps) -> Callable[[int], None]:
    """What sets the factor of ``steps`` before each of ``total`` steps, with its number."""
    schedule = SCHEDULES[name]

    def advance(step: int) -> None:
        steps.factor = schedule(step / total)

    return advance


def train(
    rule: Update,
    network: Network[Any],
    weights: Layers,
    steps: Steps,
    streams: Sequence[Stream[Any]],
    recorded: Sequence[int],
    measure: Measure,
    report: Callable[[int], None],
    bounds: Sequence[Tensor | float] | None = None,
    reached: Callable[[Mapping[Any, Tensor]], Tensor] | None = None,
    advance: Callable[[int], None] = lambda step: None,
) -> Trace:
    """A :func:`training` alone. ``streams`` has one stream for each batch of a step."""
    alone = training(
        rule, network, weights, steps, recorded, measure, report, bounds, reached, advance
    )
    ((trace, _),) = together([Training(alone, streams)])
    assert isinstance(trace, Trace)
    return trace


def training(
    rule: Update,
    network: Network[Any],
    weights: Layers,
    steps: Steps,
    recorded: Sequence[int],
    measure: Measure,
    report: Callable[[int], None],
    bounds: Sequence[Tensor | float] | None = None,
    reached: Callable[[Mapping[Any, Tensor]], Tensor] | None = None,
    advance: Callable[[int], None] = lambda step: None,
) -> Generator[None, Sequence[Any], Trace]:
    """Train for max(recorded) steps, measure at each recorded step, and wait for every step's batches.

    Weights start as (S, 1, …), shared by a seed's variants, those of the rule's ``steps``. A run whose
    layer passes its bound (a number or (S, 1), default WEIGHT_BOUND) is frozen at its last good weights and
    its metrics are NaN from then on; the others never notice. Variants of which every run is lost are soon
    left out. ``report`` is called with each recorded step, ``advance`` before each step is taken, with
    its number. With ``reached``, which tells of measured values which runs (S, V) are where they should be,
    training ends at the first recorded step by which one variant has been there for HOLD recorded steps
    with every seed: no other can then have a smaller median first passage that is not known already. It
    ends as well where no run is left that could get there.
    """
    device, bounds = weights[0].device, bounds or [WEIGHT_BOUND] * len(weights)
    runs = Runs((len(weights[0]), steps.variants), device)
    rows: list[dict[Hashable, Tensor]] = []
    due, last, memory = set(recorded), max(recorded), rule.start(weights)
    for step in range(last + 1):
        batches = yield
        view = network.view(weights, batches[0])
        alive = runs.alive
        if step in due:
            # Where no run is left there is nothing to measure, whatever the metrics' columns.
            nothing = weights[0].new_tensor(torch.nan)
            measured = (
                measure(view, alive) if bool(alive.any()) else dict.fromkeys(rows[0], nothing)
            )
            values = {name: torch.where(alive, v, torch.nan) for name, v in measured.items()}
            rows.append({name: runs.of_all(v) for name, v in values.items()})
            report(step)
            if reached is not None and runs.arrived(reached(values)):
                break
        if step < last:
            advance(step)
            network.observe(view, batches[0])
            views = [view, *(network.view(weights, batch) for batch in batches[1:])]
            proposed, memory = rule.step(views, memory)
            kept = runs.stepped(step + 1, _within(proposed, bounds), lost_runs(memory))
            weights = tuple(
                torch.where(kept[..., None, None], new, old)
                for new, old in zip(proposed, weights, strict=True)
            )
            del views
            if (step + 1) % LOOK_EVERY == 0:
                weights, memory = _without_lost(runs, steps, rule, network, weights, memory)
        del view, batches  # or every method would hold its own while others take their steps
    metrics = {name: torch.stack([row[name] for row in rows]).cpu().numpy() for name in rows[0]}
    recorded_steps = np.asarray(sorted(due)[: len(rows)])
    return Trace(recorded_steps, metrics, runs.diverged_at.cpu().numpy(), runs.failures)


def _without_lost(
    runs: Runs,
    steps: Steps,
    rule: Update,
    network: Network[Any],
    weights: Layers,
    memory: Any,
) -> tuple[Layers, Any]:
    """Weights and memory without the variants of which every run is lost, where there are any and the rule
    can do without them."""
    places = runs.alive.any(dim=0).nonzero().squeeze(dim=1)
    narrowed = getattr(rule, "narrowed", None)
    if narrowed is None or len(places) in (0, steps.variants):
        return weights, memory
    try:
        memory = narrowed(memory, places)
    except UndividedError:
        return weights, memory
    network.keep(places)
    steps.keep(places)
    runs.keep(places)
    return tuple(layer.index_select(1, places) for layer in weights), memory


def _within(weights: Layers, bounds: Sequence[Tensor | float]) -> Tensor:
    """Which runs (S, V) have finite weights within the bounds; NaN compares as False."""
    each = [
        layer.abs().amax(dim=(-2, -1)) <= bound
        for layer, bound in zip(weights, bounds, strict=True)
    ]
    return torch.stack(each).all(dim=0)
