"""Single-index learning (Section 3.2), one step or many: a method trained on it, as a table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
from layerwise.settings.validation import ConfigError
from layerwise.tasks.loop import WEIGHT_BOUND, Trace, advancing, record_steps, training
from layerwise.tasks.table import run_table
from layerwise.tasks.together import Ran, Seconds, Training, together
from layerwise.tasks.units import dampings_of, rule_of
from layerwise.theory.alignment import predicted_alignment

# Bytes of the hidden layer's values on a batch that are worked on at once: seeds beyond it come in turn.
# So few that the C library's allocator keeps what a step frees, and does not fault it in again.
BLOCK_BYTES = 2**20
# The methods whose alignment after one step Theorem 3.9 predicts, on the plain network.
PREDICTED = {"sgd.SGD": "sgd", "kfac.KFAC": "kfac"}


def run(
    cells: Sequence[RunSettings], instances: Path | None, report: Callable[[int], None]
) -> list[pd.DataFrame]:
    """The only cell's table. Instances are drawn here, from each seed's own streams: ``instances`` must
    be None."""
    return run_together([cells], instances, [report])[0].tables


def run_together(
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """Of each group what :func:`run` gives, and its own time. Groups are methods on one training problem,
    with the same seeds: they train in step, on the same samples, and are measured on the same."""
    if instances is not None:
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: this task draws its own")
    methods = [settings for (settings,) in groups]
    parts: list[list[tuple[Trace, Seconds]]] = []
    for seeds in _blocks(methods):
        block = Block.drawn(methods[0], seeds)
        trainings = [_training(*of, block) for of in zip(methods, reports, strict=True)]
        parts.append(together(trainings, [block.batches]))
    return [
        Ran(
            [_table(settings, [trace for trace, _ in own])],
            Seconds.total(seconds for _, seconds in own),
        )
        for settings, own in zip(methods, zip(*parts, strict=True), strict=True)
    ]


def _table(settings: RunSettings, traces: Sequence[Trace]) -> pd.DataFrame:
    """Of the traces of blocks of seeds, one after the other."""
    trace = Trace(
        traces[0].steps,
        {
            name: np.concatenate([one.metrics[name] for one in traces], axis=1)
            for name in traces[0].metrics
        },
        np.concatenate([one.diverged_at for one in traces]),
        _failures(traces),
    )
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


def _failures(traces: Sequence[Trace]) -> dict[tuple[int, int], str]:
    """Those of blocks of seeds, one after the other."""
    found: dict[tuple[int, int], str] = {}
    before = 0
    for trace in traces:
        found |= {(before + s, v): why for (s, v), why in trace.failures.items()}
        before += len(trace.diverged_at)
    return found


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


def _blocks(methods: Sequence[RunSettings]) -> list[list[int]]:
    """Seeds that are worked on together; a seed's numbers do not depend on the others."""
    settings, task = methods[0], methods[0].task
    # The first of several steps starts from weights that a seed's variants share.
    variants = max(
        len(one.method.lr) * max(len(one.method.damping), 1) if one.steps > 1 else 1
        for one in methods
    )
    itemsize = getattr(torch, settings.dtype).itemsize
    size = max(1, BLOCK_BYTES // (variants * task.width * task.n * itemsize))
    seeds = settings.seeds
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def _training(settings: RunSettings, report: Callable[[int], None], block: Block) -> Training:
    task: SingleIndexTask = settings.task
    instances, batches = block.instances, block.batches
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
        for of in zip(instances, block.seeds, block.fresh, strict=True)
    ]
    direction = None
    if "alignment_direction" in task.metrics:
        direction = _label_alignment(settings, network, batches, instances)
    steps_of_all = training(
        rule,
        network,
        start,
        steps.variants,
        record_steps(settings.steps, settings.record_every),
        _measure(task.metrics, benches, direction),
        report,
        bounds,
        advance=advancing(settings.schedule, settings.steps, steps),
    )
    return Training(steps_of_all, 1)


def _label_alignment(
    settings: RunSettings,
    network: SingleIndexNetwork,
    batches: Batches,
    instances: Sequence[Instance],
) -> Tensor:
    """Cosine of beta with the direction that the rule learns in one step from the first batch's labels
    alone, (S, V): what it learns through a small readout."""
    view = network.labels(batches.first)
    method = settings.method
    ones = steps_of([1.0] * len(method.lr), dampings_of(settings), [1.0], view.batch.x)
    rule = load_rule(method, ones)
    (learnt,), _ = rule.step([view], rule.start(view.weights))
    directions = view.batch.on_original(learnt)[:, :, 0]
    return directions.new_tensor(
        [
            [cosine(own, instance.direction) for own in of]
            for of, instance in zip(directions, instances, strict=True)
        ]
    )


def _measure(
    names: Sequence[str], benches: Sequence[Bench], direction: Tensor | None
) -> Callable[[View, Tensor], Mapping[str, Tensor]]:
    """What the loop calls at a recorded step."""

    def measure(view: View, alive: Tensor) -> Mapping[str, Tensor]:
        assert isinstance(view, SingleIndexView)
        shared = view.weights[0].shape[1]  # 1 where a seed's variants share their weights
        values: dict[str, Tensor] = {"train_loss": view.loss} if "train_loss" in names else {}
        if direction is not None:
            values["alignment_direction"] = direction
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
