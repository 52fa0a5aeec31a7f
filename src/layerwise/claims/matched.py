"""Losses with batch-norm over those without, at the iterations where both have the same training loss."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

# Each network with batch-norm, and what it is compared with: the same optimiser on the plain network.
PAIRS = {
    "bn_hidden_sgd": "sgd",
    "bn_input_sgd": "sgd",
    "bn_hidden_adam": "adam",
    "bn_input_adam": "adam",
}
CLOSE = 0.05  # of training losses that count as the same
METRICS = {"excess_loss_ratio": "excess_loss", "transfer_loss_ratio": "transfer_loss"}


def matched(traces: pd.DataFrame) -> pd.DataFrame:
    """A row for each variant (a method of PAIRS on a problem) and seed: the mean over the recorded steps
    with batch-norm, of the logs of METRICS' ratios, as ratios. Of the run without, each is compared at the
    recorded step whose training loss is nearest, if it is within CLOSE; a seed in which no training losses
    meet has no row."""
    rows = []
    for problem, own in traces.groupby("problem", sort=False):
        for method, plain in PAIRS.items():
            for seed, ratios in _by_seed(own, method, plain):
                rows.append({"variant": f"{method}, {problem}", "seed": seed, **ratios})
    return pd.DataFrame(rows, columns=["variant", "seed", *METRICS])


def _by_seed(
    table: pd.DataFrame, method: str, plain: str
) -> Iterator[tuple[Any, dict[str, float]]]:
    runs = {name: table[table["method"] == name].groupby("seed") for name in (method, plain)}
    for seed, own in runs[method]:
        other = runs[plain].get_group(seed)
        gaps = np.abs(
            np.log(own["train_loss"].to_numpy()[:, None] / other["train_loss"].to_numpy())
        )
        gaps = np.where(np.isfinite(gaps), gaps, np.inf)
        nearest = gaps.argmin(axis=1)
        # The start says nothing of training.
        same = (gaps.min(axis=1) <= np.log1p(CLOSE)) & (own["step"].to_numpy() > 0)
        if not same.any():
            continue
        ratios = {}
        for name, metric in METRICS.items():
            logs = np.log(own[metric].to_numpy() / other[metric].to_numpy()[nearest])[same]
            ratios[name] = float(np.exp(logs.mean()))
        yield seed, ratios
