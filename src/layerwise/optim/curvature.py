"""Vectors v of a sample's outputs f whose v v^T sum, or average, to the loss's Hessian by f."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


def hessian_roots(loss: str, sampled: bool, outputs: Tensor, gradient: Tensor) -> Iterator[Tensor]:
    """Tensors V shaped like outputs (samples, ...), a vector v for each sample in each of them.

    The sum of v v^T over the tensors is a sample's Hessian H, so that J^T v for the layer's
    Jacobian J make up J^T H J. ``sampled`` gives one tensor instead, with H as the mean of v v^T:
    the loss's gradient at a target drawn from the model's own predictions (Martens 2020, sec. 5).

    - "squared_error", half the sum over a sample's outputs: H = I.
    - "cross_entropy", of logits in the last dimension, averaged over the samples and, if outputs
      are (samples, positions..., classes), the positions: H = (diag p - p p^T) / positions. Those
      whose loss has no gradient, as by ignore_index, count in neither.

    ``gradient`` is the loss's by the outputs. Raises ValueError if it cannot be of cross-entropy.
    """
    if loss == "squared_error":
        if sampled:
            yield torch.randn_like(outputs)
            return
        for index in range(outputs[0].numel()):
            one = torch.zeros_like(outputs)
            one.view(len(outputs), -1)[:, index] = 1
            yield one
        return
    check_cross_entropy(outputs, gradient)
    log_p = functional.log_softmax(outputs.flatten(end_dim=-2).to(root_dtype(outputs)), dim=1)
    counted = gradient.flatten(end_dim=-2).ne(0).any(dim=1, keepdim=True)
    weight = (counted.to(log_p) * len(outputs) / counted.sum()).sqrt()  # 1 / sqrt(positions)
    p, classes = log_p.exp(), outputs.shape[-1]
    if sampled:
        drawn = functional.one_hot(torch.multinomial(p, 1)[:, 0], classes)
        yield (weight * (p - drawn)).reshape(outputs.shape).to(outputs.dtype)
        return
    positions = len(p) // len(outputs)
    for c in range(classes):
        # diag p - p p^T = sum of v v^T over c for v = sqrt(p_c) (e_c - p).
        v = -p * (log_p[:, c : c + 1] / 2).exp()
        v[:, c] += (log_p[:, c] / 2).exp()
        v = weight * v
        for position in range(positions):
            one = torch.zeros_like(v).view(len(outputs), positions, classes)
            one[:, position] = v.view_as(one)[:, position]
            yield one.reshape(outputs.shape).to(outputs.dtype)


def check_cross_entropy(outputs: Tensor, gradient: Tensor) -> None:
    """Raise ValueError where logits' gradients do not sum to zero over the last dimension.

    They do for cross-entropy, with or without label smoothing and weights of samples: they are
    w (p - target), to a rounding of the weight w. The targets are not known, but where one
    is a class, w is half the sum of absolute gradients over 1 - p of the class whose gradient is
    lowest. A single logit, as binary cross-entropy has, would have no gradient at all.
    """
    dtype = root_dtype(outputs)
    fits = outputs.ndim > 1 and outputs.shape[-1] > 1
    if fits:
        g, logits = gradient.to(dtype), outputs.to(dtype)
        total = g.abs().sum(dim=-1)
        class_ = g.argmin(dim=-1, keepdim=True)
        rest = -torch.expm1(functional.log_softmax(logits, dim=-1).gather(-1, class_)[..., 0])
        weight = (total / (2 * rest).clamp(min=torch.finfo(dtype).tiny))[total > 0].mean()
        rounding = 256 * torch.finfo(gradient.dtype).eps
        fits = not bool((g.sum(dim=-1).abs() > rounding * (total + weight)).any())
    if not fits:
        raise ValueError(
            "loss = 'cross_entropy' does not fit the gradient: the loss has to be cross-entropy "
            "of logits in the last dimension of the model's output"
        )


def root_dtype(tensor: Tensor) -> torch.dtype:
    """Single precision, or double for double."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32
