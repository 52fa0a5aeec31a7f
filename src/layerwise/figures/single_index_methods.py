"""The rest of single_index_learning's methods: those with normalised inputs or features."""

import pandas as pd
from matplotlib.figure import Figure

from layerwise.figures import single_index_learning

READS = {
    "traces": [
        "kappa_x", "link", "aspect_ratio", "alignment_readout", "test_error", "noise_floor",
        "test_error_linear", "test_error_ridge", "test_error_oracle",
    ]
}  # fmt: skip
EXPERIMENT = "single_index_learning"


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """As single_index_learning."""
    return single_index_learning.draw(tables, labels, part=1)
