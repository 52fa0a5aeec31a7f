"""The effective ridge of a sample covariance: its resolvent's large-size limit."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MAX_STEPS = 200


class EffectiveRidge(NamedTuple):
    """kappa = 1/v and what follows from it, element for element of the grid.

    With Sigma_hat of aspect ratio gamma = d/n, lambda (Sigma_hat + lambda I)^-1 acts like
    kappa (Sigma + kappa I)^-1. The filter moments are scaled by k = max(kappa, 1), so that no
    power of a large kappa underflows.
    """

    kappa: Array  # in units of the eigenvalues
    ratio: Array  # lambda / kappa = 1 - gamma mean(s / (s + kappa)), and its limit at lambda = 0
    scale: Array  # k
    first: Array  # k   mean(s   / (s + kappa)), that is k (1 - lambda m)
    second: Array  # k^2 mean(s^2 / (s + kappa)^2)
    spread: Array  # k^2 mean(s   / (s + kappa)^2)


def effective_ridge(spectrum: Array, aspect_ratio: Array, damping: Array) -> EffectiveRidge:
    """Solve kappa = lambda + gamma mean(s kappa / (s + kappa)), for each (gamma, lambda) in turn.

    ``spectrum`` (d,) has mean one; ``aspect_ratio`` > 0 and ``damping`` >= 0 have one shape, and
    every element of the result has that shape. At damping 0 kappa is the limit from above: 0 up to
    aspect ratio 1, and the ridgeless limit, positive, beyond.

    lambda is a convex function of kappa, and by Jensen's inequality the same equation with all
    eigenvalues one has a root that is never too small. From there Newton's steps descend to the
    largest root without crossing it: each iterate is the upper end of the bracket. In
    lambda / kappa = (1 - gamma) + gamma mean(kappa / (s + kappa)) nothing cancels for gamma <= 1;
    beyond 2 the other form, 1 - gamma mean(s / (s + kappa)), loses less.

    Raises ValueError if the iteration has not settled to 1e-14 of kappa.
    """
    shape = aspect_ratio.shape
    gamma, lam = aspect_ratio.ravel(), damping.ravel()
    eigenvalues, counts = np.unique(spectrum, return_counts=True)
    share = counts / spectrum.size

    # The root for an isotropic spectrum: kappa^2 - (lambda + gamma - 1) kappa - lambda = 0.
    centre = lam + (gamma - 1)
    root = np.hypot(centre, 2 * np.sqrt(lam))
    away = root + np.abs(centre)
    other = np.divide(2 * lam, away, out=np.zeros_like(lam), where=away > 0)
    kappa = np.where(centre > 0, away / 2, other) * (1 + 1e-9)  # above the root despite rounding

    for _ in range(_MAX_STEPS):
        weight = 1 / (eigenvalues + kappa[:, None])
        kept = (eigenvalues * weight) @ share
        lost = kappa * (weight @ share)
        ratio = np.where(gamma < 2, (1 - gamma) + gamma * lost, 1 - gamma * kept)
        # dlambda/dkappa = ratio + gamma kappa mean(s / (s + kappa)^2), each factor bounded
        slope = ratio + gamma * ((eigenvalues * weight * (kappa[:, None] * weight)) @ share)
        excess = kappa * ratio - lam
        step = np.divide(excess, slope, out=np.zeros_like(lam), where=slope > 0)
        lower = np.minimum(kappa, np.maximum(kappa - step, lam))  # the root is never below lambda
        settled = bool((kappa - lower <= 1e-14 * kappa).all())
        kappa = lower
        if settled:
            break
    else:
        raise ValueError("the effective ridge's fixed point did not converge on this spectrum")

    scale = np.maximum(kappa, 1.0)
    weight = scale[:, None] / (eigenvalues + kappa[:, None])
    ridgeless = np.maximum(1 - gamma, 0.0)
    ratio = np.divide(lam, kappa, out=ridgeless, where=lam > 0)
    parts = (
        kappa,
        ratio,
        scale,
        (eigenvalues * weight) @ share,
        (eigenvalues * weight) ** 2 @ share,
        (eigenvalues * weight**2) @ share,
    )
    return EffectiveRidge(*(part.reshape(shape) for part in parts))
