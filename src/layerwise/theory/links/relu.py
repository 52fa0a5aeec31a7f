"""The rectified linear unit."""

import numpy as np

from layerwise.theory.links import Array


def link(u: Array) -> Array:
    """max(u, 0)."""
    return np.maximum(u, 0.0)
