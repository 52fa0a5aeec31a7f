"""Eigenvalues equally spaced on a log axis, from the largest to the smallest."""

import numpy as np
from numpy.typing import NDArray


def eigenvalues(d: int, kappa: float) -> NDArray[np.float64]:
    """As layerwise.data.spectra says."""
    return np.geomspace(kappa, 1.0, d)
