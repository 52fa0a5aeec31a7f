"""NewRule: one step of stochastic gradient descent, to be changed into your own."""

from collections.abc import Sequence

from layerwise.data.moments import Moments
from layerwise.methods.base import Grid
from layerwise.networks.linear import Network, Weights


class NewRule:
    """W <- W - lr * gradient: write here what yours does, with its source."""

    # Independent batches that a step uses.
    batches_per_step = 1

    # Add keywords for the `options` of the method's configuration file.
    def __init__(self, grid: Grid) -> None:
        # Shape (variants, 1, 1), to broadcast; grid.damping likewise, if the rule takes damping.
        self._lr = grid.lr

    # Return what the rule remembers from step to step (momentum, averages), and give `step` its type.
    def start(self, weights: Weights) -> None:
        return None

    # Weights and gradients have shape (seeds, variants, rows, columns). Return new weights and new
    # memory, and change neither argument. Batched products keep the runs apart, as they must stay.
    def step(
        self, weights: Weights, batches: Sequence[Moments], memory: None, network: Network
    ) -> tuple[Weights, None]:
        # Gradients of the training loss on the batch: features (k, d_x), head (d_y, k).
        gradients = network.gradients(weights, batches[0])
        # The update: precondition the gradients here.
        stepped = Weights(
            weights.features - self._lr * gradients.features,
            weights.head - self._lr * gradients.head,
        )
        return stepped, memory
