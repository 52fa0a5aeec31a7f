"""Linear representation learning (Section 3.1): a method trained on a problem, as a table."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.data.batches import RawBatches
from layerwise.data.instances import Instances, draw, key, load
from layerwise.data.moments import GaussianDraws, GaussianMoments, gaussian_moments
from layerwise.data.population import Population, populations
from layerwise.methods.base import load_rule, steps_of
from layerwise.metrics.linear import METRICS, TRANSFER_METRICS, Evaluation, TransferTask
from layerwise.metrics.predictions import PREDICTIONS
from layerwise.networks.base import Layers, View
from layerwise.networks.linear import NETWORKS, LinearNetwork
from layerwise.results.files import canonical
from layerwise.settings.alike import training_problem
from layerwise.settings.run import RunSettings
from layerwise.tasks.loop import Trace, advancing, record_steps, training
from layerwise.tasks.table import run_table
from layerwise.tasks.together import Ran, Training, together

# Of the batches of a step, one for each that the rule uses.
PURPOSES = ("batches", "batches for the head")


def _instances(settings: RunSettings, path: Path | None) -> Instances:
    task, seeds = settings.task, settings.seeds
    return draw(task, seeds) if path is None else load(path, key(task.instance(seeds)))


def run(
    groups: Sequence[Sequence[RunSettings]],
    instances: Path | None,
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """The tables of each group's cells, and its own time, on the instances of a file or drawn here from the
    same streams. Groups are methods on problems that are drawn alike, with the same seeds: they train in
    step, on the same draws."""
    drawn = [[_instances(cell, instances) for cell in cells] for cells in groups]
    return simulate_together(groups, drawn, reports)


def simulate(
    cells: Sequence[RunSettings],
    drawn: Sequence[Instances],
    report: Callable[[int], None] = lambda step: None,
) -> list[pd.DataFrame]:
    """Train once on drawn instances, and measure for each cell."""
    return simulate_together([cells], [drawn], [report])[0].tables


def simulate_together(
    groups: Sequence[Sequence[RunSettings]],
    drawn: Sequence[Sequence[Instances]],
    reports: Sequence[Callable[[int], None]],
) -> list[Ran]:
    """:func:`run` on drawn instances."""
    problems: dict[str, Problem] = {}
    draws: list[GaussianDraws] = []
    prepared = []
    for cells, own, report in zip(groups, drawn, reports, strict=True):
        settings, name = cells[0], training_problem(cells[0])
        if name not in problems:
            problems[name] = _problem(settings, own[0], draws)
        prepared.append(_prepared(cells, own, report, problems[name]))
    results = together([one.training for one in prepared])
    return [
        Ran(one.tables(trace), seconds)
        for one, (trace, seconds) in zip(prepared, results, strict=True)
    ]


class Problem(NamedTuple):
    """What methods on one training problem have in common: its population, start weights, Sigma_x^(1/2),
    the streams of its batches, one for each that a step may use, and the transfer tasks, by their settings,
    that one of them has been measured on."""

    population: Population
    start: Layers
    root: Tensor
    streams: Sequence[GaussianMoments | RawBatches]
    transfers: dict[str, TransferTask]

    def transfer(self, settings: RunSettings, drawn: Instances) -> TransferTask:
        """A cell's transfer task, whose sample is drawn once for all methods."""
        key = canonical(settings.task.model_dump(exclude={"metrics"}))
        if key not in self.transfers:
            self.transfers[key] = _transfer(settings, drawn)
        return self.transfers[key]


def _problem(settings: RunSettings, drawn: Instances, draws: list[GaussianDraws]) -> Problem:
    """On the ``draws`` of the problems before it, which are made if it is the first."""
    population, start = training_parts(settings, drawn)
    root, task, seeds = population.covariance_power(0.5), settings.task, settings.seeds
    streams: list[GaussianMoments | RawBatches]
    if settings.engine == "moments":
        draws.extend(
            GaussianDraws(root, task.d_y, task.batch_size, seeds, purpose)
            for purpose in PURPOSES[len(draws) :]
        )
        streams = [GaussianMoments(population, task.batch_size, own) for own in draws]
    else:
        streams = [
            RawBatches(population, task.batch_size, seeds, purpose, task.inputs)
            for purpose in PURPOSES
        ]
    return Problem(population, start, root, streams, {})


class Prepared(NamedTuple):
    """A method's training, and what makes the table of each of its cells of the trace."""

    training: Training
    tables: Callable[[Trace], list[pd.DataFrame]]


def _prepared(
    cells: Sequence[RunSettings],
    drawn: Sequence[Instances],
    report: Callable[[int], None],
    problem: Problem,
) -> Prepared:
    """Of cells of one method, which are trained once."""
    settings, task, start = cells[0], cells[0].task, problem.start
    network: LinearNetwork = NETWORKS[settings.method.network](problem.population)
    # Both layers' steps are as they stand: weights are of order one.
    steps = steps_of(settings.method.lr, settings.method.damping, [1.0, 1.0], start[0])
    rule = load_rule(settings.method, steps)
    transfers = []
    if not TRANSFER_METRICS.keys().isdisjoint(task.metrics):
        transfers = [problem.transfer(*of) for of in zip(cells, drawn, strict=True)]
    steps_of_all = training(
        rule,
        network,
        start,
        steps,
        record_steps(settings.steps, settings.record_every),
        _measure(network, problem, transfers, task.metrics),
        report,
        reached=None if settings.stop_at is None else _reached(settings.stop_at),
        advance=advancing(settings.schedule, settings.steps, steps),
    )

    def tables(trace: Trace) -> list[pd.DataFrame]:
        smallest = drawn[0].eigenvalues.min()
        made = []
        for place, cell in enumerate(cells):
            own = {
                name: _predicted(name, cell, drawn[place], trace)
                if name in PREDICTIONS
                else trace.metrics[_column(name, place)]
                for name in task.metrics
            }
            made.append(run_table(cell, trace, own).assign(eigenvalue_min=smallest))
        return made

    return Prepared(Training(steps_of_all, problem.streams[: rule.batches]), tables)


def _predicted(name: str, settings: RunSettings, drawn: Instances, trace: Trace) -> np.ndarray:
    """A prediction at every recorded step, (R, S, V)."""
    values = PREDICTIONS[name](settings, drawn, trace.steps)
    repeated = np.tile(values, max(len(settings.method.damping), 1))
    return np.broadcast_to(repeated, (len(trace.steps), *repeated.shape))


def training_parts(settings: RunSettings, drawn: Instances) -> tuple[Population, Layers]:
    """The training task's population, and the initial weights G (S, 1, k, d_x) and F (S, 1, d_y, k)."""
    dtype, device = getattr(torch, settings.dtype), settings.device
    population, _ = populations(drawn, settings.task.noise, dtype, device)

    def weights(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)[:, None]

    return population, (weights(drawn.features_init), weights(drawn.head_init))


def _transfer(settings: RunSettings, drawn: Instances) -> TransferTask:
    task = settings.task
    _, population = populations(drawn, task.noise, getattr(torch, settings.dtype), settings.device)
    of = population, task.n_transfer, settings.seeds, "transfer sample"
    source = gaussian_moments(*of) if settings.engine == "moments" else RawBatches(*of, task.inputs)
    return TransferTask(population, source.next())


def _column(name: str, place: int) -> tuple[str, int]:
    """A metric's key in a trace: the first cell's where it has nothing to do with the transfer task."""
    return name, place if name in TRANSFER_METRICS else 0


def _measure(
    network: LinearNetwork,
    problem: Problem,
    transfers: Sequence[TransferTask],
    names: Sequence[str],
) -> Callable[[View, Tensor], Mapping[Any, Tensor]]:
    """What the loop calls at a recorded step: all metrics of ``names``, by their :func:`_column`."""

    def measure(view: View, alive: Tensor) -> Mapping[Any, Tensor]:
        predictor = network.predictor(view.weights)
        at = Evaluation(view, predictor, problem.population, problem.root)
        values = {_column(name, 0): METRICS[name](at) for name in names if name in METRICS}
        after = [name for name in names if name in TRANSFER_METRICS]
        for place, transfer in enumerate(transfers):
            losses = transfer.losses(at.basis)
            values |= {_column(name, place): TRANSFER_METRICS[name](losses) for name in after}
        return values

    return measure


def _reached(distance: float) -> Callable[[Mapping[Any, Tensor]], Tensor]:
    """Which runs have reached a subspace distance."""
    return lambda values: values[_column("subspace_distance", 0)] <= distance
