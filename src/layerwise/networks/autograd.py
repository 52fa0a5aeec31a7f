"""Newton's step by autograd's Hessian, for networks of few weights without a closed form."""

from collections.abc import Callable

import torch
from torch import Tensor

from layerwise.networks.base import Layers
from layerwise.networks.linalg import damped_descent


def dense_newton(
    loss_of: Callable[[int], Callable[[Layers], Tensor]],
    weights: Layers,
    gradients: Layers,
    damping: Tensor,
) -> Layers:
    """-(Hessian + damping)^-1 gradient over all layers at once, seed by seed; NaN where it is singular.

    ``loss_of(s)`` is seed s's loss as a function of one run's layers (out, in). Weights and gradients
    (S, V, out, in), V = 1 where a seed's variants share them; damping (V, 1, 1).
    """
    shapes = [layer.shape[2:] for layer in weights]
    sizes = [layer[0, 0].numel() for layer in weights]
    flat_weights, flat_gradients = (
        torch.cat([layer.flatten(2) for layer in layers], dim=2) for layers in (weights, gradients)
    )
    moves = []
    for s, (own, gradient) in enumerate(zip(flat_weights, flat_gradients, strict=True)):
        loss = loss_of(s)

        def flat_loss(vector: Tensor, loss: Callable[[Layers], Tensor] = loss) -> Tensor:
            parts = vector.split(sizes)
            return loss(tuple(p.view(shape) for p, shape in zip(parts, shapes, strict=True)))

        hessian = torch.func.vmap(torch.func.hessian(flat_loss))(own)
        moves.append(damped_descent(hessian, gradient, damping))
    parts = torch.stack(moves).split(sizes, dim=2)
    return tuple(part.unflatten(2, shape) for part, shape in zip(parts, shapes, strict=True))
