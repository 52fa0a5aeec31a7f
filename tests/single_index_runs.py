"""Single-index runs, whole or taken apart, and what becomes of their inputs by other means."""

import inspect
from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch
import yaml
from torch import Tensor

from helpers import single_index_task, table_alone
from layerwise.data.single_index import Batch, Batches, Instance, draw_instance
from layerwise.networks.activations import ACTIVATIONS
from layerwise.networks.base import Layers
from layerwise.planning.compose import PATH_KEYS, options
from layerwise.planning.places import CONFIG_DIR
from layerwise.settings.rule import rule_card
from layerwise.settings.run import RunSettings, run_settings
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.tasks import loop, single_index


@cache
def run_file() -> dict[str, Any]:
    """A run's settings, as config.yaml has them."""
    content = yaml.safe_load((CONFIG_DIR / "config.yaml").read_text())
    return {
        key: value for key, value in content.items() if key not in ("defaults", "hydra", *PATH_KEYS)
    }


@cache
def method_file(name: str) -> dict[str, Any]:
    """A method's settings, as its file has them."""
    content = yaml.safe_load((CONFIG_DIR / "method" / f"{name}.yaml").read_text())
    return {key: value for key, value in content.items() if key != "label"}


def card(name: str):
    """The card of a method's rule."""
    return rule_card(method_file(name)["rule"])


# The methods of the configuration whose needs their network offers here.
METHODS = [
    name
    for name in options("method")
    if card(name).needs <= SingleIndexTask.networks[method_file(name)["network"]]
]


def settings(
    method: str,
    lr: Sequence[float] = (0.1,),
    damping: Sequence[float] = (0.1,),
    task: SingleIndexTask | None = None,
    seeds: Sequence[int] = (0, 1),
    steps: int = 1,
    dtype: str = "float64",
    **changed: object,
) -> RunSettings:
    """A method of the configuration on a small problem; ``changed`` are options of its rule. Rules
    without damping are given none."""
    own = dict(method_file(method))
    own |= {"lr": list(lr), "damping": list(damping) if card(method).takes_damping else []}
    own["options"] = own["options"] | changed
    return run_settings(
        run_file()
        | {
            "task": (task or single_index_task()).model_dump(),
            "method": own,
            "seeds": list(seeds),
            "steps": steps,
            "record_every": 1,
            "dtype": dtype,
        }
    )


def table(method: str, *given: object, **named: object) -> pd.DataFrame:
    """The table of a run with the given :func:`settings`."""
    return table_alone(single_index, settings(method, *given, **named))


class _Taken(BaseException):
    """Carries what was taken out of a run."""


def taken_apart(run: RunSettings) -> SimpleNamespace:
    """What the task hands to the training loop, by the names of the loop's arguments; ``batches`` is
    its only stream, ``instances`` are the seeds' own."""

    def take(*given: object, **named: object) -> None:
        raise _Taken(inspect.signature(loop.training).bind(*given, **named).arguments)

    with patch.object(single_index, "training", take):
        try:
            table_alone(single_index, run)
        except _Taken as taken:
            (arguments,) = taken.args
    instances = [draw_instance(run.task, seed) for seed in run.seeds]
    of_run = [draw_instance(run.task, seed, getattr(torch, run.dtype)) for seed in run.seeds]
    batches = Batches(run.task, of_run, run.seeds)
    return SimpleNamespace(**arguments, batches=batches, instances=instances)


def make_run(method: str, *given: object, **named: object) -> SimpleNamespace:
    """A run with the given :func:`settings`, taken apart."""
    return taken_apart(settings(method, *given, **named))


def stepped(run: SimpleNamespace, steps: int) -> tuple[Layers, list[Batch]]:
    """The weights after some steps, and the batches that were used."""
    weights, memory, batches = run.weights, run.rule.start(run.weights), []
    for _ in range(steps):
        batches.append(run.batches.next())
        weights, memory = run.rule.step([run.network.view(weights, batches[-1])], memory)
    return weights, batches


def trained(run: SimpleNamespace, recorded: Sequence[int]) -> loop.Trace:
    """The loop on a run's parts."""
    parts = (run.rule, run.network, run.weights, run.steps, [run.batches])
    return loop.train(*parts, recorded, run.measure, lambda step: None, run.bounds)


def both(weights: Layers, run: SimpleNamespace, s: int, v: int) -> tuple[Tensor, Tensor]:
    """G (width, d) and f (1, width) of a run; where f is not trained, that of the start."""
    own = weights[0][s, min(v, weights[0].shape[1] - 1)]
    if len(weights) == 1:
        return own.clone(), run.instances[s].readout[None].to(own)
    return own.clone(), weights[1][s, min(v, weights[1].shape[1] - 1)].clone()


def power(run: SimpleNamespace, s: int = 0) -> float:
    """|f_0|^2, the natural unit."""
    return float(run.instances[s].readout.square().sum())


# --- By other means than the package's ------------------------------------------------------------------


def covariance(instance: Instance) -> Tensor:
    vectors = instance.eigenvectors
    if vectors is None:
        return torch.diag(instance.eigenvalues)
    return (vectors * instance.eigenvalues) @ vectors.mT


def transform(network: str, x: Tensor, instance: Instance) -> Tensor:
    """T of a network that standardises by the statistics of x (n, d)."""
    if network == "bn_input":
        return torch.diag((x.var(dim=0, correction=0) + 1e-5).rsqrt())
    if network == "whitened":
        values, vectors = torch.linalg.eigh(covariance(instance))
        return (vectors / values.sqrt()) @ vectors.mT
    return torch.eye(x.shape[1], dtype=x.dtype)


def reaching(network: str, x: Tensor, instance: Instance) -> Tensor:
    """What reaches the first layer."""
    if network == "bn_input":
        return torch.nn.BatchNorm1d(x.shape[1], affine=False, dtype=x.dtype)(x)
    return x @ transform(network, x, instance)


def output(network: str, G: Tensor, f: Tensor, x: Tensor, activation: str = "tanh") -> Tensor:
    """f(x) as torch would have it, for x that reaches the first layer; ``f`` is of shape (1, width)."""
    hidden = x @ G.mT
    if network == "bn_hidden":
        hidden = torch.nn.BatchNorm1d(len(G), affine=False, dtype=x.dtype)(hidden)
    return ACTIVATIONS[activation].value(hidden) @ f[0]
