"""A ridge readout of several outputs for every run at once, its strength chosen on held-out samples."""

import torch
from torch import Tensor

from layerwise.metrics.ridge import STRENGTHS


def ridge_readout(fit: Tensor, targets: Tensor, choice: Tensor, held_out: Tensor) -> Tensor:
    """[W b] (S, V, q, p + 1): minimises mean |y - W z - b|^2 + strength |W|^2 with the strength, of
    STRENGTHS in units of the features' mean variance, whose error on the held-out samples is the least.

    Features z are ``fit`` (S, V, p, n) and ``choice`` (S, V, p, m), their targets (S, 1 or V, q, n) and
    (S, 1 or V, q, m). The intercept b is not penalised. One eigendecomposition of a run serves all
    strengths, in double precision: features of dead units have no variance, and their rounding has. NaN
    where features are not finite.
    """
    n, dtype = fit.shape[-1], fit.dtype
    fit, targets, choice, held_out = (one.double() for one in (fit, targets, choice, held_out))
    lost = ~(fit.square().sum(dim=(-2, -1)) + choice.square().sum(dim=(-2, -1))).isfinite()
    fit = torch.where(lost[..., None, None], 0.0, fit)
    mean, target_mean = fit.mean(dim=-1, keepdim=True), targets.mean(dim=-1, keepdim=True)
    centred = fit - mean
    values, vectors = torch.linalg.eigh(centred @ centred.mT / n)
    values = values.clamp(min=0)
    unit = values.mean(dim=-1, keepdim=True)
    unit = torch.where(unit > 0, unit, 1.0)
    cross = vectors.mT @ (centred @ (targets - target_mean).mT / n)  # (S, V, p, q)
    turned = vectors.mT @ (choice - mean)
    rest = held_out - target_mean
    best = torch.full_like(unit[..., 0], torch.inf)
    chosen = torch.zeros_like(cross)
    for strength in STRENGTHS:
        weights = cross / (values + strength * unit)[..., None]
        error = (rest - weights.mT @ turned).square().mean(dim=(-2, -1))
        better = error < best
        best = torch.where(better, error, best)
        chosen = torch.where(better[..., None, None], weights, chosen)
    matrix = (vectors @ chosen).mT
    readout = torch.cat([matrix, target_mean - matrix @ mean], dim=-1)
    return torch.where(lost[..., None, None], torch.nan, readout).to(dtype)


def predicted(readout: Tensor, features: Tensor) -> Tensor:
    """W z + b for features z (S, V, p, n)."""
    return readout[..., :-1] @ features + readout[..., -1:]
