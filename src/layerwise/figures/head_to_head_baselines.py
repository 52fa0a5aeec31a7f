"""The rest of head_to_head's methods: those with normalised inputs or features."""

import pandas as pd
from matplotlib.figure import Figure

from layerwise.figures import head_to_head

READS = {
    "traces": ["regime", "kappa_x", "kappa_f", "train_loss", "subspace_distance", "transfer_loss"]
}
EXPERIMENT = "head_to_head"


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """As head_to_head."""
    return head_to_head.draw(tables, labels, part=1)
