"""Statements of ours as the study judges them, held to the same rules as the paper's."""

from layerwise.claims import columns as of
from layerwise.claims import pairs
from layerwise.claims import study_values as rows
from layerwise.claims.claim import ANY, at_least, at_most
from layerwise.claims.rates import exponent, largest_relative_error
from layerwise.claims.study_entry import count, entry, part

SOURCE = "ours"
MODERN = (
    ("Shampoo", "shampoo"),
    ("SOAP", "soap"),
    ("Muon", "muon"),
    ("Spectral descent", "spectral"),
)

OURS = (
    entry(
        "R2",
        "Rademacher inputs change little for any method",
        "paper, appendix",
        "the paper's experiments draw “u ~ Unif{±1}^{d_x}”, its theory u ~ N(0, I)",
        (
            count(
                "methods whose mean log ratio to Gaussian inputs ± 1.96 s.e. is not within ± 0.1",
                rows.metric_of_selected("inputs", "mean_subspace_distance", ["method", "inputs"]),
                pairs.not_equivalent("rademacher", "gaussian"),
                at_most(0),
                at_most(1),
            ),
        ),
        "inputs",
        "0.0418 [0.025, 0.152], the largest of twelve |log ratios|: the bootstrap of a maximum, and 16 "
        "seeds cannot show equivalence within 10 %. Now 64, at the Gaussian's choice.",
    ),
    entry(
        "R3",
        "KFAC's floor follows its closed form",
        SOURCE,
        "docs/theory.md derives it",
        (
            part(
                "largest |floor over the closed form, less 1| over batch sizes of 300 or more",
                rows.floors_over_theory,
                largest_relative_error,
                at_most(0.05),
                at_most(0.15),
            ),
        ),
        "sample_size",
        "A slope of −0.51 in n, which any average of noise has.",
    ),
    *(
        entry(
            f"R5 {name}",
            f"{name}'s iterations hardly depend on κ_x",
            SOURCE,
            "how far methods of later years share KFAC's rate",
            (
                part(
                    "exponent of the iterations in κ_x, from 100 to 1000",
                    rows.iterations(method, "kappa_x", "modern_optimizers"),
                    exponent(100, 1000),
                    at_most(0.25),
                    at_most(0.5),
                ),
            ),
            "modern_optimizers",
            "Slopes over all condition numbers, start-up included, of whole steps.",
            f"x=kappa_x&y=iterations&rows=none&at_kappa_f=1&only={method}",
        )
        for name, method in MODERN
    ),
    *(
        entry(
            f"R6 {name}",
            f"Trained on, {name}'s first layer aligns as KFAC's",
            SOURCE,
            "how far methods of later years learn KFAC's features",
            tuple(
                part(
                    f"share of the gap from SGD to KFAC in alignment by the readout, κ_x = {kappa}",
                    rows.metric_of_selected(
                        "modern_alignment", of.ALIGNMENT_READOUT, "method", kappa_x=kappa
                    ),
                    pairs.share_of_gap(method),
                    *bounds,
                )
                for kappa, bounds in (
                    (1000, (at_least(0.8), at_least(0.5))),
                    (1, (ANY, ANY)),
                )
            ),
            "modern_alignment",
            "The top singular vector of an orthogonalised change is arbitrary: at κ_x = 1 Muon's aligned "
            "at 0.025, and at 0.996 through the readout.",
            f"x=kappa_x&y=alignment_readout&only={method},sgd,kfac",
        )
        for name, method in MODERN
    ),
)
