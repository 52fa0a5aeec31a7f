"""Single-index learning (Section 3.2), one step or many: a method trained on it, as a table."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.data.covariance import spectrum
from layerwise.data.single_index import Batches, Instance, draw_instance
from layerwise.methods.base import load_rule, steps_of
from layerwise.metrics.fresh import Fresh
from layerwise.metrics.single_index import METRICS, SEQUENCES, Bench, Learnt
from layerwise.metrics.singular import cosine
from layerwise.networks.base import View
from layerwise.networks.single_index import SingleIndexNetwork, SingleIndexView
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.tasks.blocks import trained_in_blocks
from layerwise.tasks.loop import WEIGHT_BOUND, Trace, advancing, record_steps, training
from layerwise.tasks.table import run_table
from layerwise.tasks.together import Ran
from layerwise.tasks.units import dampings_of, rule_of
from layerwise.theory.alignment import predicted_alignment

# The methods whose alignment after one step Theorem 3.9 predicts, on the plain network.
PREDICTED = {"sgd.SGD": "sgd", "kfac.KFAC": "kfac"}


def run(
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """The table of each group's only cell, and its own time. Groups are methods on one training problem,
    with the same seeds: they train in step, on the same samples, and are measured on the same."""
    task = groups[0][0].task
    done = trained_in_blocks(groups, instances, reports, task.width * task.n, Block.drawn)
    return [
        Ran([_table(settings, trace)], seconds)
        for (settings,), (trace, seconds) in zip(groups, done, strict=True)
    ]


def _table(settings: RunSettings, trace: Trace) -> pd.DataFrame:
    metrics = {
        name: values for key in settings.task.metrics for name, values in _columns(key, trace)
    }
    if "alignment_theory" in settings.task.metrics:
        metrics["alignment_theory"] = _predicted(settings, trace)
    table = run_table(settings, trace, metrics)
    if settings.task.damping_unit == "optimal":
        table["at_best_damping"] = (
            np.isclose(table["damping"], 1) if settings.method.damping else True
        )
    return table


def _columns(metric: str, trace: Trace) -> Iterator[tuple[str, np.ndarray]]:
    """A metric's columns: one, or several of a sequence."""
    for name, values in trace.metrics.items():
        if name == metric or (metric in SEQUENCES and name.startswith(f"{metric}_")):
            yield name, values


class Block(NamedTuple):
    """Some seeds of a training problem: what methods have in common there."""

    seeds: Sequence[int]
    instances: list[Instance]
    batches: Batches
    fresh: list[Fresh]

    @classmethod
    def drawn(cls, settings: RunSettings, seeds: Sequence[int]) -> "Block":
        """From each seed's own streams."""
        task, dtype = settings.task, getattr(torch, settings.dtype)
        instances = [draw_instance(task, seed, dtype, settings.device) for seed in seeds]
        fresh = [Fresh(task, *of) for of in zip(instances, seeds, strict=True)]
        return cls(seeds, instances, Batches(task, instances, seeds), fresh)

    def training(
        self, settings: RunSettings, report: Callable[[int], None]
    ) -> Generator[None, Sequence[Any], Trace]:
        """As :class:`~layerwise.tasks.blocks.Block`."""
        task: SingleIndexTask = settings.task
        instances, batches = self.instances, self.batches
        network = SingleIndexNetwork(settings.method.network, task, instances)
        features = torch.stack([instance.features for instance in instances])[:, None]
        readouts = torch.stack([instance.readout for instance in instances])[:, None, None]
        start = (features, readouts) if task.layers == "both" else (features,)
        rule, steps = rule_of(settings, dampings_of(settings), readouts, instances)
        # G grows to order 1/|f| legitimately, where it fits labels of order one through f; in these
        # units its entries are of order one, as those of f and of linear networks are.
        unit = (1 / readouts.norm(dim=(-2, -1))).clamp(min=1)
        bounds = [WEIGHT_BOUND * unit, WEIGHT_BOUND][: len(start)]
        benches = [
            Bench(task, settings.method.network, *of)
            for of in zip(instances, self.seeds, self.fresh, strict=True)
        ]
        trace = yield from training(
            rule,
            network,
            start,
            steps,
            record_steps(settings.steps, settings.record_every),
            _measure(task.metrics, benches),
            report,
            bounds,
            advance=advancing(settings.schedule, settings.steps, steps),
        )
        if "alignment_direction" in task.metrics:
            direction = _label_alignment(settings, network, batches, instances)
            trace.metrics["alignment_direction"] = np.where(trace.alive, direction, np.nan)
        return trace


def _label_alignment(
    settings: RunSettings,
    network: SingleIndexNetwork,
    batches: Batches,
    instances: Sequence[Instance],
) -> np.ndarray:
    """Cosine of beta with the direction that the rule learns in one step from the first batch's labels
    alone, (S, V): what it learns through a small readout."""
    view = network.labels(batches.first)
    method = settings.method
    ones = steps_of([1.0] * len(method.lr), dampings_of(settings), [1.0], view.batch.x)
    rule = load_rule(method, ones)
    (learnt,), _ = rule.step([view], rule.start(view.weights))
    directions = view.batch.on_original(learnt)[:, :, 0]
    return np.array(
        [
            [cosine(own, instance.direction) for own in of]
            for of, instance in zip(directions, instances, strict=True)
        ]
    )


def _measure(
    names: Sequence[str], benches: Sequence[Bench]
) -> Callable[[View, Tensor], Mapping[str, Tensor]]:
    """What the loop calls at a recorded step."""

    def measure(view: View, alive: Tensor) -> Mapping[str, Tensor]:
        assert isinstance(view, SingleIndexView)
        shared = view.weights[0].shape[1]  # 1 where a seed's variants share their weights
        values: dict[str, Tensor] = {"train_loss": view.loss} if "train_loss" in names else {}
        own = [name for name in names if name in METRICS or name in SEQUENCES]
        for s, v in alive[:, :shared].nonzero().tolist() if own else []:
            head = view.head[s, min(v, view.head.shape[1] - 1), 0]
            run = Learnt(view.weights[0][s, v], head, benches[s])
            for name, value in _values(run, own):
                column = values.setdefault(
                    name, view.weights[0].new_full((len(alive), shared), torch.nan)
                )
                column[s, v] = value
        return values

    return measure


def _values(run: Learnt, names: Sequence[str]) -> Iterator[tuple[str, Tensor | float]]:
    """Each metric's name and value, those of a sequence one by one."""
    for name in names:
        if name in METRICS:
            yield name, METRICS[name](run)
        else:
            for part, values in SEQUENCES[name](run).items():
                for place, value in enumerate(values):
                    yield f"{name}_{part}_{place + 1}", value


def _predicted(settings: RunSettings, trace: Trace) -> np.ndarray:
    """The limiting alignment of one step, (R, S, V); NaN where the paper has no formula for the method."""
    task, method = settings.task, settings.method
    shape = trace.diverged_at.shape
    name = PREDICTED.get(method.rule) if method.network == "plain" else None
    values = np.full((len(trace.steps), *shape), np.nan)
    if name is not None:
        dampings = np.repeat(dampings_of(settings) or [0.0], len(method.lr))
        values[:] = predicted_alignment(
            name,
            spectrum(task.spectrum, task.d, task.kappa_x),
            task.d / task.n,  # the data's own ratio: n is a whole number
            task.link,
            task.noise,
            dampings,
        )
    return values
