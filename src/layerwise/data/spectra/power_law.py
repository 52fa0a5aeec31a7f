"""Eigenvalues i^(-a), with the exponent a that makes the last one kappa times smaller."""

import numpy as np
from numpy.typing import NDArray


def eigenvalues(d: int, kappa: float) -> NDArray[np.float64]:
    """As layerwise.data.spectra says."""
    exponent = np.log(kappa) / np.log(d) if d > 1 else 0.0
    return np.arange(1, d + 1, dtype=float) ** -exponent
