"""Alternating descent with a least-squares head: DFW whitens the features' gradient, AMGD does not."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from layerwise.methods.base import Scale, Steps
from layerwise.networks.base import Layers, Need, View
from layerwise.networks.factors import in_units
from layerwise.networks.linalg import orthonormal_rows


class DFW:
    """De-biased feature whitening (Zhang et al. 2023): Eq. 5 with P_G = I and eta_F = 1, features
    re-orthonormalised, head and features fitted on independent batches. Damping is in units of the mean
    eigenvalue of the batch's Sigma_x.

    That (A G, F A^-1) is the same function, which makes orthonormal features no restriction, holds for
    linear hidden layers alone.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "inputs", "refit", "linear"})
    batches: ClassVar[int] = 2
    scale: ClassVar[Scale] = "natural"
    takes_damping: ClassVar[bool] = True
    option_needs: ClassVar[Mapping[str, Need]] = {}
    where_offered: ClassVar[frozenset[str]] = frozenset()

    whiten = True

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def start(self, weights: Layers) -> None:
        return None

    def narrowed(self, memory: None, places: Tensor) -> None:
        """There is no memory."""

    def step(self, views: Sequence[View], memory: None) -> tuple[Layers, None]:
        first, second = views
        direction = first.gradient(0).expand(-1, self._steps.variants, -1, -1)
        if self.whiten:
            factor = first.inputs(0)
            steps = self._steps
            damping = in_units(steps.damping, factor.matrix, steps.variants)
            direction = factor.solve(direction, damping)
        moved = torch.addcmul(first.weights[0], self._steps.lr[0], direction, value=-1)
        features = orthonormal_rows(moved)
        return (features, second.at((features, *first.weights[1:])).refitted()), None
