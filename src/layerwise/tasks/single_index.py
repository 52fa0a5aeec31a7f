"""Single-index learning (Section 3.2), one step or many: a method trained on it, as a table.

Step sizes are in natural units. The readout starts small: the gradient by G is of order |f_0|, and G must
move by 1/|f_0| to change f(x) by one. So G moves by lr / |f_0|^2 times a direction that is a gradient, or
one divided by second moments of the inputs alone, and f(x) then changes by order lr whatever the
readout's scale. The gradient by f adds up width features, so f moves by lr / width times it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.data.covariance import spectrum
from layerwise.data.single_index import Batches, Instance, draw_instance
from layerwise.methods.base import Steps, Update, load_rule, rule_class, steps_of
from layerwise.methods.normalised import Normalised
from layerwise.metrics.single_index import METRICS, SEQUENCES, Bench, Learnt
from layerwise.metrics.singular import cosine
from layerwise.networks.base import View
from layerwise.networks.single_index import SingleIndexNetwork, SingleIndexView
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.settings.validation import ConfigError
from layerwise.tasks.loop import WEIGHT_BOUND, Trace, advancing, record_steps, train
from layerwise.tasks.table import run_table
from layerwise.theory.alignment import optimal_damping, predicted_alignment

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
    (settings,) = cells
    if instances is not None:
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: this task draws its own")
    traces = [_train(settings, seeds, report) for seeds in _blocks(settings)]
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
    return [table]


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


def _blocks(settings: RunSettings) -> list[list[int]]:
    """Seeds that are worked on together; a seed's numbers do not depend on the others."""
    task, method = settings.task, settings.method
    # The first of several steps starts from weights that a seed's variants share.
    variants = len(method.lr) * max(len(method.damping), 1) if settings.steps > 1 else 1
    itemsize = getattr(torch, settings.dtype).itemsize
    size = max(1, BLOCK_BYTES // (variants * task.width * task.n * itemsize))
    seeds = settings.seeds
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def _train(settings: RunSettings, seeds: Sequence[int], report: Callable[[int], None]) -> Trace:
    task: SingleIndexTask = settings.task
    dtype = getattr(torch, settings.dtype)
    instances = [draw_instance(task, seed, dtype, settings.device) for seed in seeds]
    network = SingleIndexNetwork(settings.method.network, task, instances)
    features = torch.stack([instance.features for instance in instances])[:, None]
    readouts = torch.stack([instance.readout for instance in instances])[:, None, None]
    start = (features, readouts) if task.layers == "both" else (features,)
    batches = Batches(task, instances, seeds)
    rule, steps = _rule(settings, _dampings(settings), readouts, instances)
    # G grows to order 1/|f| legitimately, where it fits labels of order one through f; in these
    # units its entries are of order one, as those of f and of linear networks are.
    unit = (1 / readouts.norm(dim=(-2, -1))).clamp(min=1)
    bounds = [WEIGHT_BOUND * unit, WEIGHT_BOUND][: len(start)]
    benches = [
        Bench(task, settings.method.network, instance, seed)
        for instance, seed in zip(instances, seeds, strict=True)
    ]
    direction = None
    if "alignment_direction" in task.metrics:
        direction = _label_alignment(settings, network, batches, instances)
    return train(
        rule,
        network,
        start,
        steps.variants,
        [batches],
        record_steps(settings.steps, settings.record_every),
        _measure(task.metrics, benches, direction),
        report,
        bounds,
        advance=advancing(settings.schedule, settings.steps, steps),
    )


def _dampings(settings: RunSettings) -> list[float]:
    """The dampings in units of the mean eigenvalue, which is one."""
    task, values = settings.task, settings.method.damping
    if task.damping_unit == "mean" or not values:
        return values
    of = spectrum(task.spectrum, task.d, task.kappa_x), task.d / task.n, task.link, task.noise
    unit = float(optimal_damping(*of).damping)
    return [unit * value for value in values]


def _rule(
    settings: RunSettings, dampings: list[float], readouts: Tensor, instances: Sequence[Instance]
) -> tuple[Update, Steps]:
    """The rule in the task's units, and its steps."""
    method, task = settings.method, settings.task
    power = readouts.square().sum(dim=-1, keepdim=True)  # |f|^2, (S, 1, 1, 1)
    units: list[Tensor | float] = {
        "gradient": [1 / power, 1 / task.width],
        "natural": [1 / power, 1.0],
        "joint": [1.0, 1.0],
        "own": [1.0, 1.0],
    }[rule_class(method).scale]
    if task.lr_unit == "natural":
        trained = 2 if task.layers == "both" else 1
        steps = steps_of(method.lr, dampings, units[:trained], readouts)
        return load_rule(method, steps), steps
    sizes = steps_of(method.lr, dampings, [1.0], readouts)
    ones = steps_of([1.0] * len(method.lr), dampings, [1.0], readouts)
    return Normalised(load_rule(method, ones), sizes, _size(instances)), sizes


def _size(instances: Sequence[Instance]) -> Callable[[View, Tensor], Tensor]:
    """Root mean square, over the population's x, of what rows act on the inputs as, (S, V, 1, 1)."""

    def size(view: View, rows: Tensor) -> Tensor:
        assert isinstance(view, SingleIndexView)
        maps = view.batch.on_original(rows)
        powers = [
            (instance.to_eigenbasis(own).square() * instance.eigenvalues).sum(dim=(-2, -1))
            for instance, own in zip(instances, maps, strict=True)
        ]
        return torch.stack(powers).sqrt()[..., None, None]

    return size


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
    ones = steps_of([1.0] * len(method.lr), _dampings(settings), [1.0], view.batch.x)
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
        dampings = np.repeat(_dampings(settings) or [0.0], len(method.lr))
        values[:] = predicted_alignment(
            name,
            spectrum(task.spectrum, task.d, task.kappa_x),
            task.d / task.n,  # the data's own ratio: n is a whole number
            task.link,
            task.noise,
            dampings,
        )
    return values
