"""Any ``torch.optim.Optimizer`` as an update rule, named by its import path."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from layerwise.methods.base import OfGradients, Scale, Steps
from layerwise.networks.base import Layers, View
from layerwise.settings.validation import ConfigError, nearest


class Run(NamedTuple):
    """One run's optimiser, and the parameters, one a layer, that are its own."""

    optimizer: Optimizer
    parameters: tuple[Parameter, ...]


class TorchOptimizer(OfGradients):
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

    scale: ClassVar[Scale] = "own"

    def __init__(self, steps: Steps, optimizer: str, **settings: Any) -> None:
        super().__init__(steps)
        self._lrs = steps.lr[0].flatten().tolist()
        self._class: Any = _optimizer_class(optimizer)
        _check_keywords(optimizer, self._class, settings)
        # YAML has lists where optimisers document tuples, as for betas.
        self._settings = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }
        self._try_a_step(optimizer, steps.damping)

    def start(self, weights: Layers) -> list[Run | None]:
        seeds = len(weights[0])
        each = zip(_runs(weights, self.steps.variants), self._lrs * seeds, strict=True)
        return [self._run(layers, lr) for layers, lr in each]

    def step(self, views: Sequence[View], memory: list[Run | None]) -> tuple[Layers, Any]:
        (view,) = views
        variants = self.steps.variants
        pairs = zip(_runs(view.weights, variants), _runs(view.gradients, variants), strict=True)
        stepped = [_step(run, *pair) for run, pair in zip(memory, pairs, strict=True)]
        layers = zip(*(new for _, new in stepped), strict=True)
        stacked = tuple(torch.stack(layer).unflatten(0, (-1, variants)) for layer in layers)
        return stacked, [run for run, _ in stepped]

    def _run(self, layers: Layers, lr: float) -> Run:
        parameters = tuple(Parameter(layer.clone()) for layer in layers)
        return Run(self._class(list(parameters), lr=lr, **self._settings), parameters)

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


def _runs(layers: Layers, variants: int) -> list[Layers]:
    """The layers (out, in) of each of S x V runs, seeds first."""
    flat = [layer.expand(-1, variants, -1, -1).flatten(0, 1) for layer in layers]
    return list(zip(*flat, strict=True))


def _step(run: Run | None, values: Layers, gradients: Layers) -> tuple[Run | None, Layers]:
    """The run after a step from ``values``, and its weights: None and NaN if it is lost."""
    lost = None, tuple(torch.full_like(value, torch.nan) for value in values)
    if run is None:
        return lost
    for parameter, value, gradient in zip(run.parameters, values, gradients, strict=True):
        parameter.data.copy_(value)
        parameter.grad = gradient
    try:
        run.optimizer.step()
    except torch.linalg.LinAlgError:
        return lost
    return run, tuple(parameter.detach() for parameter in run.parameters)


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
