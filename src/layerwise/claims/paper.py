"""The paper's claims C1 to C10, in our words, one entry or more each.

Bounds are round numbers that follow from what a claim says, and are the same for all methods: theory
has slopes of 0 and of at least 1, so "independent" is a slope of at most 1/4, "slows down" one of at
least 1/2.
"""

from layerwise.claims import measures
from layerwise.claims.claim import Claim, at_least, at_most, single
from layerwise.claims.statistics import (
    along,
    difference_of_means,
    largest_error,
    log_slope,
    median,
    paired,
    ratio_of_medians,
    slope_to_reached,
)

ABSTRACT, LINEAR, NUMERICAL = "paper, abstract", "paper, Sec. 3.1", "paper, Sec. 4"
GRID = "condition_grid"


def grows(
    name: str, statement: str, source: str, method: str, key: str, experiment: str = GRID
) -> Claim:
    """Iterations grow with a condition number, the other being one."""
    other = {"kappa_x": "kappa_f", "kappa_f": "kappa_x"}[key]
    return single(
        name=name,
        statement=statement,
        source=source,
        quantity=f"log-log slope of the iterations in {key}, as far as the target is reached",
        values=along(experiment, method, key, "steps_to_target", **{other: 1}),
        statistic=slope_to_reached,
        threshold=at_least(0.5),
        partly=at_least(0.25),
        figure=experiment,
    )


def flat(
    name: str, statement: str, source: str, method: str, key: str, experiment: str = GRID
) -> Claim:
    """Iterations do not depend on a condition number, the other being one."""
    other = {"kappa_x": "kappa_f", "kappa_f": "kappa_x"}[key]
    return single(
        name=name,
        statement=statement,
        source=source,
        quantity=f"log-log slope of the iterations in {key}",
        values=along(experiment, method, key, "steps_to_target", **{other: 1}),
        statistic=log_slope,
        threshold=at_most(0.25),
        partly=at_most(0.5),
        figure=experiment,
    )


def _at(method: str, kappa_x: float, kappa_f: float) -> dict[str, object]:
    return {"method": method, "kappa_x": kappa_x, "kappa_f": kappa_f}


_TRAINED: tuple[dict[str, object], ...] = tuple(
    {"method": method, "along": "kappa_x", "kappa_x": 1000} for method in ("kfac", "sgd")
)

PAPER = (
    grows(
        "C1 κ_x", "SGD slows down as κ_x grows, at its best step size", ABSTRACT, "sgd", "kappa_x"
    ),
    grows(
        "C1 κ_F", "SGD slows down as κ_F grows, at its best step size", ABSTRACT, "sgd", "kappa_f"
    ),
    flat("C2 κ_x", "KFAC's rate does not depend on κ_x", LINEAR, "kfac", "kappa_x"),
    flat("C2 κ_F", "KFAC's rate does not depend on κ_F", LINEAR, "kfac", "kappa_f"),
    single(
        name="C2 rate",
        statement="Without noise KFAC contracts by 1 − η a step, whatever κ_x and κ_F",
        source=LINEAR,
        quantity="largest |contraction − (1 − η)| over condition numbers and η",
        values=measures.contraction_errors,
        statistic=largest_error,
        threshold=at_most(1e-6),
        partly=at_most(1e-3),
        figure="contraction",
    ),
    grows("C3 AMGD", "AMGD's iterations grow with κ_x", LINEAR, "amgd", "kappa_x"),
    flat("C3 DFW", "Whitening the features' gradient removes it", LINEAR, "dfw", "kappa_x"),
    single(
        name="C4 theory",
        statement="After one step the alignments of SGD and KFAC follow the formulas",
        source="paper, Thm 3.9",
        quantity="largest |mean alignment − formula| over all settings",
        values=measures.alignment_errors,
        statistic=largest_error,
        threshold=at_most(0.05),
        partly=at_most(0.1),
        figure="one_step_alignment",
    ),
    single(
        name="C4 SGD",
        statement="SGD's step is biased towards Σ_x β⋆",
        source="paper, Sec. 3.2",
        quantity="mean |cos| of the update with Σ_x β⋆, less that with β⋆",
        values=measures.spike_cosines("sgd"),
        statistic=difference_of_means,
        threshold=at_least(0.1),
        partly=at_least(0.0),
        figure="spike",
    ),
    single(
        name="C4 KFAC",
        statement="KFAC's step is not biased towards Σ_x β⋆",
        source="paper, Sec. 3.2",
        quantity="mean |cos| of the update with Σ_x β⋆, less that with β⋆",
        values=measures.spike_cosines("kfac"),
        statistic=difference_of_means,
        threshold=at_most(-0.1),
        partly=at_most(0.0),
        figure="spike",
    ),
    single(
        name="C5 linear",
        statement="With κ_x = κ_F = 1 plain SGD is fine",
        source=ABSTRACT,
        quantity="iterations to the target",
        values=along(GRID, "sgd", "kappa_x", "steps_to_target", kappa_f=1),
        statistic=median,
        threshold=at_most(40),
        partly=at_most(100),
        figure=GRID,
    ),
    single(
        name="C5 single index",
        statement="With Σ_x = I one step of SGD aligns as well as KFAC's",
        source=ABSTRACT,
        quantity="mean alignment of KFAC at its best damping, less SGD's",
        values=measures.isotropic_alignments,
        statistic=difference_of_means,
        threshold=at_most(0.02),
        partly=at_most(0.05),
        figure="one_step_alignment",
    ),
    single(
        name="C6 helps",
        statement="Adam mitigates: at κ_x = 100 it needs fewer iterations than SGD",
        source=ABSTRACT,
        quantity="iterations of Adam over SGD's",
        values=paired(GRID, "steps_to_target", _at("adam", 100, 1), _at("sgd", 100, 1)),
        statistic=ratio_of_medians,
        threshold=at_most(0.9),
        partly=at_most(1.0),
        figure=GRID,
    ),
    grows("C6 mildly", "Adam still slows down as κ_x grows", ABSTRACT, "adam", "kappa_x"),
    single(
        name="C6 basis",
        statement="Adam depends on the basis of Σ_x",
        source=NUMERICAL,
        quantity="average subspace distance, rotated over along the axes",
        values=paired(
            "basis",
            "mean_subspace_distance",
            {"method": "adam", "basis": "rotated"},
            {"method": "adam", "basis": "axis"},
        ),
        statistic=ratio_of_medians,
        threshold=at_least(1.2),
        partly=at_least(1.05),
        figure="basis",
    ),
    single(
        name="C6 one step",
        statement="Adam's first step closes little of the gap in alignment between SGD and KFAC",
        source=NUMERICAL,
        quantity="largest share of the gap closed, over both bases, κ_x = 100",
        values=measures.one_step_alignments("adam"),
        statistic=measures.largest_share_of_gap(1),
        threshold=at_most(0.5),
        partly=at_most(0.75),
        figure="one_step_methods",
    ),
    grows(
        "C7 mildly",
        "With batch-norm after the first layer SGD still slows down as κ_x grows",
        ABSTRACT,
        "bn_hidden_sgd",
        "kappa_x",
    ),
    single(
        name="C7 one step",
        statement="Batch-norm closes little of the gap in alignment between SGD and KFAC",
        source=NUMERICAL,
        quantity="largest share of the gap closed, over both batch-norms and bases, κ_x = 100",
        values=measures.one_step_alignments("bn_hidden_sgd", "bn_input_sgd"),
        statistic=measures.largest_share_of_gap(2),
        threshold=at_most(0.5),
        partly=at_most(0.75),
        figure="one_step_methods",
    ),
    single(
        name="C7 transfer",
        statement="Batch-norm may hurt transfer while it does not hurt training",
        source=NUMERICAL,
        quantity="largest ratio of transfer losses, with over without, where training is no worse",
        values=measures.batch_norm_losses,
        statistic=measures.largest_transfer_ratio,
        threshold=at_least(1.1),
        partly=at_least(1.0),
        figure="batch_norm",
    ),
    single(
        name="C8 rate",
        statement="Full Gauss–Newton is slower than KFAC, each at its best",
        source=NUMERICAL,
        quantity="iterations of Gauss–Newton over KFAC's at κ_x = 100, κ_F = 3",
        values=paired(GRID, "steps_to_target", _at("gauss_newton", 100, 3), _at("kfac", 100, 3)),
        statistic=ratio_of_medians,
        threshold=at_least(1.5),
        partly=at_least(1.1),
        figure=GRID,
    ),
    single(
        name="C8 stability",
        statement="Full Gauss–Newton is stable for fewer step sizes and dampings than KFAC",
        source=NUMERICAL,
        quantity="share of stable choices, Gauss–Newton's less KFAC's",
        values=measures.stable_shares,
        statistic=difference_of_means,
        threshold=at_most(-0.1),
        partly=at_most(-0.02),
        figure="second_order",
    ),
    single(
        name="C9 transfer",
        statement="The better representation transfers: KFAC's transfer loss is below SGD's",
        source=NUMERICAL,
        quantity="transfer loss of SGD over KFAC's, heads refitted on 300 samples",
        values=paired(
            "transfer",
            "transfer_loss",
            {"method": "sgd", "n_transfer": 300},
            {"method": "kfac", "n_transfer": 300},
        ),
        statistic=ratio_of_medians,
        threshold=at_least(2.0),
        partly=at_least(1.1),
        figure="transfer",
    ),
    single(
        name="C9 order",
        statement="Methods rank by transfer loss as by subspace distance",
        source=NUMERICAL,
        quantity="rank correlation over the methods, strong regime",
        values=measures.distances_and_losses,
        statistic=measures.rank_correlation,
        threshold=at_least(0.8),
        partly=at_least(0.5),
        figure="head_to_head",
    ),
    single(
        name="C9 alignment",
        statement="Trained on, KFAC's first layer aligns better than SGD's",
        source="paper, Fig. 3",
        quantity="mean alignment of KFAC less SGD's after the last step, κ_x = 1000",
        values=paired("single_index_learning", "alignment", *_TRAINED),
        statistic=difference_of_means,
        threshold=at_least(0.02),
        partly=at_least(0.0),
        figure="single_index_learning",
    ),
    single(
        name="C9 test error",
        statement="Trained on, a readout on KFAC's features has a smaller test error than on SGD's",
        source="paper, Fig. 3",
        quantity="test error on SGD's features over that on KFAC's, κ_x = 1000",
        values=paired("single_index_learning", "test_error", *reversed(_TRAINED)),
        statistic=ratio_of_medians,
        threshold=at_least(1.1),
        partly=at_least(1.0),
        figure="single_index_learning",
    ),
    single(
        name="C10",
        statement="KFAC tolerates a wider range of step sizes than SGD",
        source=NUMERICAL,
        quantity="decades within a factor of two of the best, KFAC's less SGD's, mild regime",
        values=measures.step_size_distances,
        statistic=measures.difference_of_widths,
        threshold=at_least(0.5),
        partly=at_least(0.1),
        figure="step_size",
    ),
)
