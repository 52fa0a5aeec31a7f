"""The rest of mlp_condition's methods: newer optimisers."""

import pandas as pd
from matplotlib.figure import Figure

from layerwise.figures import mlp_condition

READS = {
    "summary": [
        "kappa_x", "directions", "basis", "test_error", "subspace_gap", "transfer_error",
        "transfer_error_isotropic",
    ],
    "selection": [],
}  # fmt: skip
EXPERIMENT = "mlp_condition"


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """As mlp_condition."""
    return mlp_condition.draw(tables, labels, newer=True)
