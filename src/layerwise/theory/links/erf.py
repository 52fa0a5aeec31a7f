"""The error function."""

import math

import numpy as np

from layerwise.theory.links import Array

_ERF = np.vectorize(math.erf, otypes=[float])


def link(u: Array) -> Array:
    """erf(u)."""
    values: Array = _ERF(u)
    return values
