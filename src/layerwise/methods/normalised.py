"""A rule whose steps are rescaled: with step size eta the preactivations move by eta times their size."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from layerwise.methods.base import Steps, Update
from layerwise.networks.base import Layers, View


class Normalised:
    """Any rule, made with step sizes of 1, on a network that trains its first layer alone.

    ``steps`` holds the step sizes, (V, 1, 1). ``size`` takes rows (S, V, width, d) that act on a view's
    inputs to their root mean square over the population's x, (S, V, 1, 1): step size eta moves G x, in
    root mean square over x and the units, by eta times what it is.
    """

    def __init__(self, rule: Update, steps: Steps, size: Callable[[View, Tensor], Tensor]) -> None:
        self._rule, self._steps, self._size = rule, steps, size

    def start(self, weights: Layers) -> Any:
        return self._rule.start(weights)

    def step(self, views: Sequence[View], memory: Any) -> tuple[Layers, Any]:
        view = views[0]
        (before,) = view.weights
        (moved,), memory = self._rule.step(views, memory)
        change = moved - before
        unit = self._size(view, before) / self._size(view, change)
        return (before + self._steps.lr[0] * unit * change,), memory
