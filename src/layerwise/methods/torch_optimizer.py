"""Any ``torch.optim.Optimizer`` as an update rule, named by its import path."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.networks.linear import Network, Weights
from layerwise.settings.validation import ConfigError, nearest


class Run(NamedTuple):
    """One run's optimiser and the two parameters, (k, d_x) and (d_y, k), that are its own."""

    optimizer: Optimizer
    parameters: tuple[Parameter, Parameter]


class TorchOptimizer:
    """The class that the import path ``optimizer`` names, made with ``settings`` as its keywords and
    with the grid's step size as its lr.

    Every run, a (seed, variant), has an optimiser of its own. So runs cannot mix, whatever the class
    does over all its parameters, and where its linear algebra fails one run alone is lost.

    The memory is the list of the runs, None for a lost one. Optimisers change in place: a step copies
    the weights that it is given into the runs' parameters and returns copies, and so changes no
    argument but the memory, which serves one path of training. A class that draws random numbers
    takes them from torch's global generator.

    Raises ConfigError, at construction, for a class or keyword that cannot be used, among them the
    optimisers that need a closure.
    """

    batches_per_step = 1

    def __init__(self, grid: Grid, optimizer: str, **settings: Any) -> None:
        self._lrs = grid.lr.flatten().tolist()
        self._class: Any = _optimizer_class(optimizer)
        _check_keywords(optimizer, self._class, settings)
        # YAML has lists where optimisers document tuples, as for betas.
        self._settings = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }
        self._try_a_step(optimizer, grid.lr)

    def start(self, weights: Weights) -> list[Run | None]:
        lrs = self._lrs * len(weights.features)
        return [self._run(pair, lr) for pair, lr in zip(_runs(*weights), lrs, strict=True)]

    def step(
        self,
        weights: Weights,
        batches: Sequence[Moments],
        memory: list[Run | None],
        network: Network,
    ) -> tuple[Weights, list[Run | None]]:
        gradients = network.gradients(weights, batches[0])
        pairs = zip(_runs(*weights), _runs(gradients.features, gradients.head), strict=True)
        stepped = [_step(run, *pair) for run, pair in zip(memory, pairs, strict=True)]
        after, features, head = zip(*stepped, strict=True)
        new = Weights(
            torch.stack(features).view_as(weights.features), torch.stack(head).view_as(weights.head)
        )
        return new, list(after)

    def _run(self, pair: tuple[Tensor, Tensor], lr: float) -> Run:
        features, head = (Parameter(part.clone()) for part in pair)
        return Run(self._class([features, head], lr=lr, **self._settings), (features, head))

    def _try_a_step(self, path: str, like: Tensor) -> None:
        """One step on small matrices finds what only the class itself can tell of its settings."""
        ones = like.new_ones(3, 2), like.new_ones(4, 3)
        try:
            run = self._run(ones, self._lrs[0])
            _step(run, ones, (ones[0].clone(), ones[1].clone()))
        except Exception as error:  # whatever another package raises
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"method.options.optimizer = {path!r} is not allowed with {self._settings}: allowed is "
                f"what takes a step from gradients alone, and it answers {reason!r}"
            ) from None


def _runs(features: Tensor, head: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The (features, head) of each of S x V runs, seeds first."""
    return list(zip(features.flatten(0, 1), head.flatten(0, 1), strict=True))


def _step(
    run: Run | None, values: tuple[Tensor, Tensor], gradients: tuple[Tensor, Tensor]
) -> tuple[Run | None, Tensor, Tensor]:
    """The run after a step from ``values``, and its weights: None and NaN if it is lost."""
    lost = None, torch.full_like(values[0], torch.nan), torch.full_like(values[1], torch.nan)
    if run is None:
        return lost
    for parameter, value, gradient in zip(run.parameters, values, gradients, strict=True):
        parameter.data.copy_(value)
        parameter.grad = gradient
    try:
        run.optimizer.step()
    except torch.linalg.LinAlgError:
        return lost
    features, head = run.parameters
    return run, features.detach(), head.detach()


def _optimizer_class(path: str) -> type[Optimizer]:
    """Import a class; settings have checked that its package is an allowed one."""
    module, _, name = path.rpartition(".")
    try:
        content = vars(importlib.import_module(module))
    except ImportError as error:
        raise ConfigError(
            f"method.options.optimizer = {path!r} is not allowed: {module} cannot be imported ({error})"
        ) from None
    classes = {
        key: value
        for key, value in content.items()
        if isinstance(value, type) and issubclass(value, Optimizer)
    }
    if name not in classes:
        raise ConfigError(
            f"method.options.optimizer = {path!r} is not allowed: allowed is a torch.optim.Optimizer "
            f"class of {module}{nearest(name, list(classes))}"
        )
    return classes[name]


def _check_keywords(path: str, optimizer: type[Optimizer], settings: dict[str, Any]) -> None:
    """Refuse what the class's signature does not name, even where **kwargs would swallow it."""
    names = list(inspect.signature(optimizer).parameters)
    if "lr" not in names:
        raise ConfigError(
            f"method.options.optimizer = {path!r} is not allowed: allowed are optimisers that take lr"
        )
    allowed = [name for name in names if name not in ("params", "lr", "kwargs")]
    for key, value in settings.items():
        if key not in allowed:
            raise ConfigError(
                f"method.options.{key} = {value!r} is not allowed: {path} takes "
                f"{', '.join(allowed)}{nearest(key, allowed)}"
            )
