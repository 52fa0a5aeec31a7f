"""Damped Gauss-Newton over all weights at once, the "full second-order" method (after Benzing 2022)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from layerwise.methods.base import Scale, Steps
from layerwise.networks.base import Layers, Need, View
from layerwise.networks.factors import for_variants


class GaussNewton:
    """W <- W - lr * (H + damping)^-1 gradient, with H the Gauss-Newton matrix over all layers, cross terms
    included; the network solves it. H is singular: damping, in units of its mean eigenvalue, must be
    positive."""

    needs: ClassVar[frozenset[Need]] = frozenset({"gauss_newton"})
    batches: ClassVar[int] = 1
    scale: ClassVar[Scale] = "joint"
    takes_damping: ClassVar[bool] = True
    option_needs: ClassVar[Mapping[str, Need]] = {}
    where_offered: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def start(self, weights: Layers) -> None:
        return None

    def narrowed(self, memory: None, places: Tensor) -> None:
        """There is no memory."""

    def step(self, views: Sequence[View], memory: None) -> tuple[Layers, None]:
        (view,) = views
        moves = self.moves(view)
        each = zip(view.weights, self._steps.lr, moves, strict=True)
        return tuple(weight + lr * move for weight, lr, move in each), None

    def moves(self, view: View) -> Layers:
        """The step at lr = 1."""
        return view.gauss_newton(for_variants(self._steps.damping, self._steps.variants))
