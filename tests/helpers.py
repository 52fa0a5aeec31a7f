"""Small problems that the tests share."""

import json
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import NamedTuple

import pandas as pd
import torch
from omegaconf import OmegaConf
from torch import Tensor

from layerwise.data.instances import draw
from layerwise.data.moments import Moments
from layerwise.data.population import Population, populations
from layerwise.methods.base import load_rule, steps_of
from layerwise.networks.base import Predictor
from layerwise.networks.linear import NETWORKS
from layerwise.planning.compose import compose_config, settings_of, settings_of_content
from layerwise.planning.plan import ExperimentPlan, plan
from layerwise.settings.method import MethodSettings
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.linear_representation import LinearProblem, LinearTask
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.tasks.run import run_table

SMALL = (
    "task.d_x=8",
    "task.d_y=5",
    "task.rank=3",
    "task.batch_size=64",
    "task.n_transfer=50",
    "seeds=3",
    "steps=10",
    "record_every=1",
)
QUICK_SIZES = {
    "linear_representation": ["task.d_x=8", "task.d_y=5", "task.rank=2"],
    "single_index": ["task.d=24", "task.width=16"],
    "teacher_student": [
        "task.d_x=8",
        "task.d_y=3",
        "task.rank=2",
        "task.width=8",
        "task.batch_size=32",
        "task.n_validation=40",
        "task.n_test=50",
        "task.n_transfer=30",
        "task.n_choice=20",
    ],
    "digits": ["task.width=8", "task.batch_size=50"],
}
SINGLE_INDEX = {
    "name": "single_index",
    "d": 12,
    "aspect_ratio": 0.3,
    "width": 9,
    "kappa_x": 10.0,
    "spectrum": "log",
    "basis": "rotated",
    "link": "tanh",
    "activation": "tanh",
    "noise": 0.3,
    "readout_scale": 1.0,
    "layers": "first",
    "samples": "fresh",
    "damping_unit": "mean",
    "lr_unit": "natural",
    "n_choice": 15,
    "n_validation": 16,
    "n_test": 50,
    "metrics": ["train_loss", "alignment", "validation_error", "test_error", "network_error"],
}
# What a linear run measures, and its table's columns.
METRICS = [name for name in LinearTask.measures if not name.endswith("_theory")]
RUN_COLUMNS = [
    *("method", "rule", "network", "stage", "damping", "lr", "seed", "step"),
    *LinearProblem.model_fields,
    *("inputs", "batch_size", "noise", "n_transfer"),
    *METRICS,
    *("status", "diverged_at", "failure", "eigenvalue_min"),
]
PROBLEM = {
    "d_x": 6,
    "d_y": 4,
    "rank": 3,
    "kappa_x": 10.0,
    "kappa_f": 3.0,
    "head_scale": 1.0,
    "spectrum": "log",
    "basis": "rotated",
    "transfer_kappa_x": None,
}


def quick_plan(experiment: str, *overrides: str) -> ExperimentPlan:
    """An experiment at the quick scale and in small dimensions."""
    sizes = QUICK_SIZES[plan(experiment, "quick").task]
    return plan(experiment, "quick", [*sizes, "seeds=2", "steps=6", *overrides])


@cache
def _of_groups(words: tuple[str, ...]) -> str:
    return json.dumps(OmegaConf.to_container(compose_config(words)))


@cache
def _value(text: str) -> str:
    """As OmegaConf reads it on a command line."""
    read = OmegaConf.from_dotlist([f"x={text}"])
    return json.dumps(OmegaConf.to_container(read, resolve=True)["x"])


def composed(*words: str) -> RunSettings:
    """The validated settings that ``compose_config`` makes of overrides key=value and +key=value, without
    references. Hydra composes the task and the method once; the other words are put in without it, and
    without OmegaConf, a hundred times faster.
    """
    groups = [word for word in words if word.split("=")[0] in ("task", "method")]
    if any(word.startswith("~") for word in words):
        return settings_of(compose_config(words))
    config = json.loads(_of_groups(tuple(groups)))
    for word in words:
        key, _, text = word.removeprefix("+").partition("=")
        if word not in groups:
            value = json.loads(_value(text))
            *above, last = key.split(".")
            part = config
            for name in above:
                part = part[name]
            assert last in part or word.startswith("+"), f"there is no {key}"
            merged = isinstance(value, dict) and isinstance(part.get(last), dict)
            part[last] = part[last] | value if merged else value
    return settings_of_content(config)


@cache
def small_settings(method: str, *overrides: str) -> RunSettings:
    """The validated settings of a small run."""
    return composed(f"method={method}", *SMALL, *overrides)


def settings_of_run(method: str, values: dict[str, object]) -> RunSettings:
    """The validated settings of a run with the given values."""
    return composed(f"method={method}", *(f"{key}={value}" for key, value in values.items()))


def table_alone(task: ModuleType, settings: RunSettings) -> pd.DataFrame:
    """The table of a run of a task's module, no other method beside it."""
    (ran,) = task.run([[settings]], None, [lambda step: None])
    (table,) = ran.tables
    return table


def run(method: str, *overrides: str) -> pd.DataFrame:
    """The table of a small run."""
    return run_table(small_settings(method, *overrides))


def single_index_task(**changes: object) -> SingleIndexTask:
    """A single-index problem of twelve inputs, forty samples a step and nine neurons."""
    return SingleIndexTask(**{**SINGLE_INDEX, **changes})


def problem(**changes: object) -> LinearProblem:
    """A problem of six inputs, four outputs and rank three."""
    return LinearProblem(**{**PROBLEM, **changes})


def population(seeds: Sequence[int] = (0, 1), noise: float = 0.1, **changes: object) -> Population:
    """The training task's population in double precision."""
    return populations(draw(problem(**changes), seeds), noise, torch.float64, "cpu")[0]


def random(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers in double precision."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


class Weights(NamedTuple):
    """Layers of a two-layer network by their names: features (S, V, k, d_x), head (S, V, d_y, k)."""

    features: Tensor
    head: Tensor


def random_weights(of: Population, variants: int, seed: int = 0) -> Weights:
    """Weights of order one, different in every seed and variant."""
    s, k, d_x = of.features.shape
    return Weights(
        random(s, variants, k, d_x, seed=seed) / d_x**0.5,
        random(s, variants, of.head.shape[1], k, seed=seed + 1) / k**0.5,
    )


def random_batch(of: Population, n: int, seed: int, mean: float = 0.0) -> tuple[Tensor, Tensor]:
    """A raw batch x (S, n, d_x) and y (S, n, d_y); ``mean`` shifts every input."""
    s, d_y, d_x = of.map.shape
    x = random(s, n, d_x, seed=seed) @ of.covariance_power(0.5) + mean
    return x, x @ of.map.mT + of.noise * random(s, n, d_y, seed=seed + 1)


def method_settings(
    rule: str,
    lr: Sequence[float],
    damping: Sequence[float] = (),
    network: str = "plain",
    **options: object,
) -> MethodSettings:
    """Settings of a method that no file has."""
    return MethodSettings(
        name="tested",
        rule=rule,
        network=network,
        lr=list(lr),
        damping=list(damping),
        options=options,
    )


class Stepper:
    """A rule training a linear network on moments, with the memory of both."""

    def __init__(self, settings: MethodSettings, of: Population, weights: Weights) -> None:
        self.network = NETWORKS[settings.network](of)
        steps = steps_of(settings.lr, settings.damping, [1.0, 1.0], weights.features)
        self.rule = load_rule(settings, steps)
        self.batches = self.rule.batches
        self.memory = self.rule.start(weights)

    def step(self, weights: Weights, moments: Sequence[Moments]) -> Weights:
        """The weights after a step on the moments of its batches."""
        views = [self.network.view(weights, batch) for batch in moments]
        self.network.observe(views[0], moments[0])
        layers, self.memory = self.rule.step(views, self.memory)
        return Weights(*layers)

    def loss(self, weights: Weights, moments: Moments) -> Tensor:
        """The training loss, (S, V)."""
        return self.network.view(weights, moments).loss

    def predictor(self, weights: Weights) -> Predictor:
        """The network as evaluated."""
        return self.network.predictor(weights)


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    """Equal up to ``tolerance`` times the largest expected entry."""
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * max(scale, 1e-300))
