"""NewRule: one step of stochastic gradient descent, to be changed into your own."""

from typing import ClassVar

from layerwise.methods.base import OfGradients, Scale
from layerwise.networks.base import Layers


class NewRule(OfGradients):
    """W <- W - lr * gradient: write here what yours does, with its source."""

    # What a step is in proportion to: "gradient", or "own" where only lr sets its size, as in Adam. It
    # decides the default step sizes and their units. A literal, since plans read it from this file.
    scale: ClassVar[Scale] = "gradient"

    # Return what the rule remembers from step to step (momentum, averages), and give `directions` its
    # type. For the method's `options` write an __init__(self, steps: Steps, your_option: float).
    def start(self, weights: Layers) -> None:
        return None

    # Gradients of the training loss, one a layer, each of shape (seeds, variants, rows, columns). Return
    # what each layer moves against, in units of lr, and the new memory; change neither argument. Batched
    # products keep the runs apart, as they must stay. A rule that needs more than gradients writes
    # `needs` and `step` itself: see layerwise/methods/kfac.py.
    def directions(self, gradients: Layers, memory: None) -> tuple[Layers, None]:
        # The update: precondition the gradients here.
        return gradients, memory
