"""Statements of ours on what the figures show, held to the same rules as the paper's, one entry each."""

import numpy as np

from layerwise.claims import measures
from layerwise.claims.claim import Bound, Claim, at_least, at_most, single
from layerwise.claims.paper import flat
from layerwise.claims.statistics import (
    along,
    difference_of_means,
    largest_error,
    log_slope,
    paired,
    ratio_of_medians,
)

SOURCE = "ours"
MODERN = (
    ("Shampoo", "shampoo"),
    ("SOAP", "soap"),
    ("Muon", "muon"),
    ("Spectral descent", "spectral"),
)


def _input_batch_norm(
    name: str, statement: str, basis: str, threshold: Bound, partly: Bound
) -> Claim:
    """Input batch-norm against plain SGD in one basis."""
    return single(
        name=name,
        statement=statement,
        source=SOURCE,
        quantity="average subspace distance, input batch-norm over plain SGD",
        values=paired(
            "basis",
            "mean_subspace_distance",
            {"method": "bn_input_sgd", "basis": basis},
            {"method": "sgd", "basis": basis},
        ),
        statistic=ratio_of_medians,
        threshold=threshold,
        partly=partly,
        figure="basis",
    )


OURS = (
    _input_batch_norm(
        "R1 axes",
        "Input batch-norm helps SGD when Σ_x lies along the axes",
        "axis",
        at_most(0.8),
        at_most(0.95),
    ),
    _input_batch_norm(
        "R1 rotated",
        "Input batch-norm does not help SGD when Σ_x is rotated",
        "rotated",
        at_least(0.95),
        at_least(0.8),
    ),
    single(
        name="R2",
        statement="Rademacher inputs change little for any method",
        source="paper, appendix",
        quantity="largest |log ratio| of average subspace distances over the methods",
        values=measures.rademacher_and_gaussian,
        statistic=measures.largest_log_ratio,
        threshold=at_most(float(np.log(1.1))),
        partly=at_most(float(np.log(1.5))),
        figure="inputs",
    ),
    single(
        name="R3",
        statement="KFAC's floor falls as the square root of the batch size",
        source=SOURCE,
        quantity="log-log slope of the final subspace distance in n",
        values=along("sample_size", "kfac", "batch_size", "subspace_distance"),
        statistic=log_slope,
        threshold=at_most(-0.4),
        partly=at_most(-0.25),
        figure="sample_size",
    ),
    single(
        name="R4 small",
        statement="Up to the mean-field scale the update's top singular vector follows the formulas",
        source="paper, Thm 3.9",
        quantity="largest |mean alignment − formula| over all settings",
        values=measures.small_readout_errors,
        statistic=largest_error,
        threshold=at_most(0.05),
        partly=at_most(0.1),
        figure="readout_scale",
    ),
    single(
        name="R4 large",
        statement="With a readout of order one SGD aligns less than the formula says",
        source=SOURCE,
        quantity="mean of the formula's alignment less the update's",
        values=measures.large_readout_drop,
        statistic=difference_of_means,
        threshold=at_least(0.05),
        partly=at_least(0.01),
        figure="readout_scale",
    ),
    *(
        flat(
            f"R5 {name} {symbol}",
            f"{name}'s iterations do not depend on {symbol}",
            SOURCE,
            method,
            key,
            "modern_optimizers",
        )
        for name, method in MODERN
        for key, symbol in (("kappa_x", "κ_x"), ("kappa_f", "κ_F"))
    ),
    *(
        single(
            name=f"R6 {name}",
            statement=f"Trained on, {name}'s first layer aligns as KFAC's",
            source=SOURCE,
            quantity="share of the gap in mean alignment from SGD to KFAC that it closes, κ_x = 1000",
            values=measures.trained_alignments(method),
            statistic=measures.largest_share_of_gap(1),
            threshold=at_least(0.8),
            partly=at_least(0.5),
            figure="modern_alignment",
        )
        for name, method in MODERN
    ),
)
