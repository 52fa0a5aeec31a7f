"""Any ``torch.optim.Optimizer`` as an update rule, named by its import path."""

import random
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from layerwise.methods.base import Lost, OfGradients, Scale, Steps
from layerwise.methods.optimizer_class import (
    RAISED,
    check_keywords,
    check_taken,
    optimizer_class,
)
from layerwise.networks.base import Layers, View
from layerwise.settings.validation import ConfigError, one_line

# Steps in which an optimiser must have moved every layer. Some count the first ones down, or look only at
# every tenth gradient.
TRIED_STEPS = 12
# At a step size at which weights of order one move: the grid's own may be as small as they like.
TRIED_LR = 0.1
# What ends a job whatever the optimiser: the machine is at fault, and not the run.
OF_THE_MACHINE = (MemoryError, torch.OutOfMemoryError)


class Run(NamedTuple):
    """One run's optimiser, and the parameters, one a layer, that are its own."""

    optimizer: Any
    parameters: tuple[Parameter, ...]


class TorchOptimizer(OfGradients):
    """The class ``optimizer``, or that its import path names, made with ``settings`` as its keywords and
    with the grid's step size as its lr.

    Every run, a (seed, variant), has an optimiser of its own. So runs cannot mix, whatever the class
    does over all its parameters, and where its step raises one run alone is lost.

    Some classes train at one point and are evaluated at another, by train() and eval(). A run's weights
    are then the point of eval(), which is what is measured, and its gradients are those at the point of
    train().

    The memory is the list of the runs, and of what has become of those that are lost. Optimisers change
    in place: a step copies the weights that it is given into the runs' parameters and returns copies, and
    so changes no argument but the memory, which serves one path of training.

    Raises ConfigError, at construction, for a class or keyword that cannot be used.
    """

    scale: ClassVar[Scale] = "own"

    def __init__(self, steps: Steps, optimizer: str | type[Optimizer], **settings: Any) -> None:
        super().__init__(steps)
        self._lrs = steps.lr[0].flatten().tolist()
        self._class: Any = optimizer_class(optimizer) if isinstance(optimizer, str) else optimizer
        named = f"{self._class.__module__}.{self._class.__qualname__}"
        self._path = optimizer if isinstance(optimizer, str) else named
        check_keywords(self._path, self._class, settings)
        # YAML has lists where optimisers document tuples, as for betas.
        self._settings = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }
        self._try_out(steps.damping)

    def start(self, weights: Layers) -> list[Run | Lost]:
        seeds = len(weights[0])
        each = zip(_runs(weights, self.steps.variants), self._lrs * seeds, strict=True)
        return [self._run(layers, lr) for layers, lr in each]

    def step(self, views: Sequence[View], memory: list[Run | Lost]) -> tuple[Layers, Any]:
        (view,) = views
        variants = self.steps.variants
        values = _runs(view.weights, variants)
        runs = [_at_training(run, layers) for run, layers in zip(memory, values, strict=True)]
        if any(isinstance(run, Run) and _averages(run.optimizer) for run in runs):
            points = [
                run.parameters if isinstance(run, Run) else layers
                for run, layers in zip(runs, values, strict=True)
            ]
            view = view.at(_stacked(points, variants))
        gradients = _runs(view.gradients, variants)
        if self.steps.factor != 1:  # else lr is what the class, which may change it, has made of it
            self._schedule(runs)
        runs = [_stepped(run, of) for run, of in zip(runs, gradients, strict=True)]
        results = [
            run.parameters
            if isinstance(run, Run)
            else tuple(torch.full_like(value, torch.nan) for value in layers)
            for run, layers in zip(runs, values, strict=True)
        ]
        return _stacked(results, variants), runs

    def narrowed(self, memory: list[Run | Lost], places: Tensor) -> list[Run | Lost]:
        """As :meth:`~layerwise.methods.base.OfGradients.narrowed`."""
        variants, kept = self.steps.variants, places.tolist()
        starts = range(0, len(memory), variants)
        return [memory[start + place] for start in starts for place in kept]

    def _schedule(self, runs: Sequence[Run | Lost]) -> None:
        """Set the lr of every run's optimiser to what it is now."""
        lrs = self.steps.lr[0].flatten().tolist()
        for place, run in enumerate(runs):
            if isinstance(run, Run):
                for group in run.optimizer.param_groups:
                    group["lr"] = lrs[place % len(lrs)]

    def _run(self, layers: Layers, lr: float) -> Run:
        parameters = tuple(Parameter(layer.clone()) for layer in layers)
        return Run(self._class(list(parameters), lr=lr, **self._settings), parameters)

    def _answer(self, weights: Layers, error: BaseException) -> str:
        """What the class says to plain parameters. Some look for keys of their own in groups, and stumble
        over what is none; then what it says to a group without them."""
        parameters = [Parameter(layer.clone()) for layer in weights]
        try:
            self._class([{"params": parameters}], lr=TRIED_LR, **self._settings)
        except RAISED as of_group:
            if type(of_group) is not type(error):
                return f"{_said(of_group)!r} to a parameter group with no keys of its own"
        return repr(_said(error))

    def _try_out(self, like: Tensor) -> None:
        """Steps on small matrices find what only the class itself can tell of its settings."""
        start: Layers = tuple(map(_wave(-1), (like.new_empty(3, 2), like.new_empty(4, 3))))
        given = f"with {self._settings}" if self._settings else "as it stands"
        refused = (
            f"method.options.optimizer = {self._path!r} is not allowed {given}: allowed is what takes a "
            "step from gradients alone, and it"
        )
        before = _randomness()
        try:
            for lr in dict.fromkeys(self._lrs):
                self._run(start, lr)
            run = self._run(start, TRIED_LR)
        except RAISED as error:
            raise ConfigError(f"{refused} answers {self._answer(start, error)}") from None
        check_taken(self._path, run.optimizer, TRIED_LR, self._settings)
        weights = start
        for t in range(TRIED_STEPS):
            tried = _stepped(_at_training(run, weights), tuple(map(_wave(t), start)))
            if isinstance(tried, Lost):
                raise ConfigError(f"{refused} answers {tried.why!r}")
            weights = tuple(parameter.detach().clone() for parameter in tried.parameters)
            if not all(layer.isfinite().all() for layer in weights):
                return  # at such a step size; the run will be told to have diverged
        if any(torch.equal(*pair) for pair in zip(weights, start, strict=True)):
            raise ConfigError(
                f"{refused} does not move the weights in {TRIED_STEPS} steps at lr = {TRIED_LR:g}"
            )
        if _randomness() != before:
            raise ConfigError(f"{refused} draws random numbers, so that no run could be repeated")


def _wave(t: int) -> Any:
    """Gradients of order one, no two entries and no two steps alike."""
    return lambda layer: torch.cos(torch.arange(layer.numel()).to(layer) + t).view_as(layer)


def _randomness() -> tuple[bytes, Any, bytes]:
    """The states of the generators that a program has by itself."""
    numbers = np.random.get_state(legacy=False)["state"]
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), repr(numbers).encode()


def _runs(layers: Layers, variants: int) -> list[Layers]:
    """The layers (out, in) of each of S x V runs, seeds first."""
    flat = [layer.expand(-1, variants, -1, -1).flatten(0, 1) for layer in layers]
    return list(zip(*flat, strict=True))


def _stacked(runs: Sequence[Layers], variants: int) -> Layers:
    """The same the other way: a copy."""
    stacked = (torch.stack([*layer]).detach() for layer in zip(*runs, strict=True))
    return tuple(layer.unflatten(0, (-1, variants)) for layer in stacked)


def _averages(optimizer: Optimizer) -> bool:
    """Whether it trains at one point and is evaluated at another."""
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def _at_training(run: Run | Lost, weights: Layers) -> Run | Lost:
    """The run at ``weights``, or at the point of its train() that belongs to them."""
    if isinstance(run, Lost):
        return run
    for parameter, value in zip(run.parameters, weights, strict=True):
        parameter.data.copy_(value)
    return _unless_lost(run, run.optimizer.train) if _averages(run.optimizer) else run


def _stepped(run: Run | Lost, gradients: Layers) -> Run | Lost:
    """The run after a step, at the point of its eval() if it has one."""
    if isinstance(run, Lost):
        return run
    stepped = _unless_lost(run, lambda: _step(run, gradients))
    if isinstance(stepped, Run) and _averages(run.optimizer):
        return _unless_lost(run, run.optimizer.eval)
    return stepped


def _step(run: Run, gradients: Layers) -> None:
    for parameter, gradient in zip(run.parameters, gradients, strict=True):
        parameter.grad = gradient
    run.optimizer.step()
    for parameter, gradient in zip(run.parameters, gradients, strict=True):
        if (parameter.shape, parameter.dtype) != (gradient.shape, gradient.dtype):
            raise TypeError(
                f"a step has made a parameter {parameter.dtype} of shape {parameter.shape}"
            )


def _unless_lost(run: Run, call: Any) -> Run | Lost:
    """The run after a call of its optimiser's, which may raise anything."""
    try:
        call()
    except OF_THE_MACHINE:
        raise
    except RAISED as error:
        return Lost(_said(error))
    return run


def _said(error: BaseException) -> str:
    """What an exception says, on one line; its kind, where it says nothing."""
    try:
        return one_line(str(error)) or type(error).__name__
    except Exception:  # of its own, while it is asked
        return type(error).__name__
