"""The hyperbolic tangent."""

import numpy as np

from layerwise.theory.links import Array


def link(u: Array) -> Array:
    """tanh(u)."""
    return np.tanh(u)
