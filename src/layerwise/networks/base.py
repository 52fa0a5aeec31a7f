"""What a network shows of itself to update rules: views of it, at some weights on a batch.

Weights are batched over S seeds and V variants (step sizes x damping values). At the start a seed's
variants share their weights: V is then 1, and the first step's broadcasting makes them V, layer by
layer where a rule moves one layer after the other.
"""

from typing import Literal, NamedTuple, Protocol, TypeVar

from torch import Tensor

# W_l (S, V, out, in) of the layers that are trained, the first layer first.
Layers = tuple[Tensor, ...]
# What a rule may ask of a view, beyond its weights and loss.
Need = Literal[
    "gradients", "inputs", "outputs", "refit", "linear", "readout", "gauss_newton", "hessian"
]

Batch = TypeVar("Batch", contravariant=True)


class NotOfferedError(TypeError):
    """A rule asked a network for what it does not offer."""


class Predictor(NamedTuple):
    """The evaluated linear network x -> head (features x + offset).

    features (S, V, k, d_x), head (S, V, d_y, k), offset (S, V, k) or None for zero.
    """

    features: Tensor
    head: Tensor
    offset: Tensor | None


class Factor(Protocol):
    """A second moment on one side of a layer, which a step divides by."""

    @property
    def matrix(self) -> Tensor:
        """The second moment: (S, m, m), shared by a seed's variants, or (S, V, m, m)."""

    @property
    def definite(self) -> bool:
        """Whether it is inverted as it stands in Eq. 5 where that has no damping: the readout's Q_F."""

    def solve(self, rows: Tensor, damping: Tensor) -> Tensor:
        """rows (M + damping I)^-1 for rows (S, V, r, m), where ``damping`` (…, D, 1, 1) has a value for
        each V / D successive variants; NaN where the sum is not positive definite."""

    def with_matrix(self, matrix: Tensor) -> "Factor":
        """The factor of another matrix, such as an average, solved in the same way."""


class View:
    """A network at some weights on a batch. Each part is computed when it is asked for, and once.

    The parts that its network does not offer raise NotOfferedError. ``weights`` are those of the
    layers that are trained; the last of several is the readout, F in Eq. 5.
    """

    weights: Layers

    @property
    def loss(self) -> Tensor:
        """The batch's loss 0.5 E|y - f(x)|^2, shape (S, V)."""
        raise self._lacks("loss")

    @property
    def gradients(self) -> Layers:
        """The gradient of the loss by every layer."""
        return tuple(self.gradient(layer) for layer in range(len(self.weights)))

    def gradient(self, layer: int) -> Tensor:
        """The gradient by one layer alone."""
        raise self._lacks("gradients")

    def inputs(self, layer: int) -> Factor:
        """Q_l = E[a a^T] of what reaches the layer, on the batch and not centred."""
        raise self._lacks("inputs")

    def natural(self, layer: int) -> Tensor:
        """P_l^-1 times the layer's gradient, with P_l the Gauss-Newton factor of its outputs."""
        raise self._lacks("outputs")

    def refitted(self) -> Tensor:
        """The last layer that fits the batch best: least squares."""
        raise self._lacks("refit")

    def gauss_newton(self, damping: Tensor) -> Layers:
        """The descent step -(H + damping)^-1 gradient over all layers at once, H the Gauss-Newton matrix;
        damping (V, 1, 1) in units of its mean eigenvalue."""
        raise self._lacks("gauss_newton")

    def newton(self, damping: Tensor) -> Layers:
        """The same with the true Hessian, damping in units of its diagonal's mean size; NaN where the sum
        is singular."""
        raise self._lacks("hessian")

    def at(self, weights: Layers) -> "View":
        """The same batch at other weights: Eq. 5 moves F at the new G."""
        raise NotImplementedError

    def _lacks(self, what: Need | Literal["loss"]) -> NotOfferedError:
        return NotOfferedError(f"{type(self).__name__} offers no {what}")


class Network(Protocol[Batch]):
    """A network, as the training loop uses it: it makes views, and keeps what it normalises by."""

    @property
    def offers(self) -> frozenset[Need]:
        """What its views have; a task's card lists it for the plans, which import no torch."""

    def view(self, weights: Layers, batch: Batch) -> View:
        """The network at ``weights`` on a batch as it was drawn."""

    def observe(self, view: View, batch: Batch) -> None:
        """Update running statistics, if any, with a training batch and the view on it."""

    def keep(self, places: Tensor) -> None:
        """Keep running statistics, if any, of the variants at these places alone."""
