"""The layer-wise preconditioner of Eq. 5: a Kronecker factor on each side of a layer's gradient.

    G+ = G - lr P_G^-1 grad_G (Q_G + damping tr(Q_G)/d I)^-1    Q_G = E x x^T on the batch
    F+ = F - lr_head grad_F(F, G+) Q_F^-1    Q_F = E z z^T on the same batch, z = sigma(G+ x)

Layers move one after the other, each at the new values of those before it, whatever their number.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from layerwise.methods.base import Scale, Steps, of_variants
from layerwise.networks.base import Layers, Need, View
from layerwise.networks.factors import in_units


class Averages(NamedTuple):
    """Q_l of each layer but the readout, averaged over batches: exponential averages from zero (None
    before the first step), and the number of steps."""

    matrices: tuple[Tensor | None, ...]
    steps: int


class KFAC:
    """Eq. 5 with P_l the Gauss-Newton factor of the layer's outputs (``precondition_outputs``: F^T F for
    the linear network) or P_l = I. None is true where the network offers P_l.

    ``lr_head`` is eta_F; None makes it equal to lr. At eta_F = 1 the linear network's readout is the
    least-squares fit on the batch. With ``factor_decay`` beta, Q_l is the exponential average
    beta Q_l + (1 - beta) E a a^T, divided by 1 - beta^t at step t as in Adam; 0 is the batch alone. The
    readout's Q_F is of the batch alone, and undamped as in Eq. 5 where the network says that it is
    definite. Damping is in units of the mean eigenvalue of what is inverted. ``first_layer_only`` leaves
    the other layers' inputs as they are: gradient descent, in the same turns.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "inputs"})
    batches: ClassVar[int] = 1
    scale: ClassVar[Scale] = "natural"
    takes_damping: ClassVar[bool] = True
    option_needs: ClassVar[Mapping[str, Need]] = {
        "precondition_outputs": "outputs",
        "lr_head": "readout",
    }
    where_offered: ClassVar[frozenset[str]] = frozenset({"precondition_outputs"})

    def __init__(
        self,
        steps: Steps,
        precondition_outputs: bool,
        lr_head: float | None,
        factor_decay: float = 0.0,
        first_layer_only: bool = False,
    ) -> None:
        self._steps, self._lr_head = steps, lr_head
        self._first_layer_only = first_layer_only
        self._precondition_outputs = precondition_outputs
        self._decay = factor_decay

    def start(self, weights: Layers) -> Averages:
        return Averages(tuple(None for _ in weights), 0)

    def step(self, views: Sequence[View], memory: Averages) -> tuple[Layers, Averages]:
        (view,) = views
        matrices = list(memory.matrices)
        count = len(view.weights)
        for layer in range(count):
            lr, readout = self._steps.lr[layer], layer == count - 1 and count > 1
            if readout and self._lr_head is not None:
                lr = torch.full_like(lr, self._lr_head * self._steps.factor)
            gradient = view.natural(layer) if self._precondition_outputs else view.gradient(layer)
            rows = gradient.expand(-1, self._steps.variants, -1, -1)
            if layer == 0 or not self._first_layer_only:
                factor = view.inputs(layer)
                if self._decay and not readout:
                    average = self._averaged(matrices[layer], factor.matrix)
                    factor = factor.with_matrix(average / (1 - self._decay ** (memory.steps + 1)))
                    matrices[layer] = average
                damping = in_units(self._steps.damping, factor.matrix, self._steps.variants)
                if factor.definite:
                    damping = torch.zeros_like(damping)
                rows = factor.solve(rows, damping)
            moved = torch.addcmul(view.weights[layer], lr, rows, value=-1)
            if layer < count - 1:
                view = view.at((*view.weights[:layer], moved, *view.weights[layer + 1 :]))
        return (*view.weights[:-1], moved), Averages(tuple(matrices), memory.steps + 1)

    def narrowed(self, memory: Averages, places: Tensor) -> Averages:
        """As :meth:`~layerwise.methods.base.OfGradients.narrowed`."""
        own = (
            matrix if matrix is None or matrix.ndim == 3 else of_variants(matrix, places)
            for matrix in memory.matrices  # (S, m, m) is a seed's
        )
        return Averages(tuple(own), memory.steps)

    def _averaged(self, average: Tensor | None, matrix: Tensor) -> Tensor:
        start = torch.zeros_like(matrix) if average is None else average
        return torch.lerp(start, matrix, 1 - self._decay)
