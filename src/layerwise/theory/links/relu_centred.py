"""The rectified linear unit less its mean at unit variance, so that labels have a mean near zero."""

import math

import numpy as np

from layerwise.theory.links import Array


def link(u: Array) -> Array:
    """max(u, 0) - 1 / sqrt(2 pi)."""
    return np.maximum(u, 0.0) - 1 / math.sqrt(2 * math.pi)
