"""The paper's claims on what is learnt, C4, C9, C10 and those of C5 to C8, as the study judges them. Bounds
follow from what a claim says."""

from layerwise.claims import study_values as rows
from layerwise.claims.choices import difference_of_widths, rank_correlation
from layerwise.claims.claim import ANY, at_least, at_most
from layerwise.claims.formulas import fall_of_rms_error, p_value, rms_error
from layerwise.claims.pairs import (
    difference,
    largest_geometric_mean,
    mean_of_all,
    ratio,
    smallest_mean,
)
from layerwise.claims.study_entry import ABSTRACT, NUMERICAL, SINGLE, count, entry, part

LEARNING = (
    entry(
        "C4 theory",
        "After one step the alignments of SGD and KFAC follow the formulas",
        SINGLE,
        "a reviewer on Fig. 2, theory against simulation: “convincing agreement”",
        (
            part(
                "rms error over settings, largest d",
                rows.alignment_errors_at_largest,
                rms_error,
                at_most(0.02),
                at_most(0.02),
            ),
            count(
                "recentred bootstrap p of the studentised maximum, largest d",
                rows.alignment_errors_at_largest,
                p_value,
                at_least(0.05),
                ANY,
            ),
            part(
                "rms error at d = 150 less that at d = 600",
                rows.alignment_errors,
                fall_of_rms_error(150, 600),
                at_least(0.0),
                ANY,
            ),
        ),
        "one_step_alignment",
        "largest error 0.0254, interval [0.0268, 0.0616]: the bootstrap of a maximum lies above its value, "
        "and p was 0.57.",
    ),
    entry(
        "C4 bias",
        "SGD's step is biased towards Σβ⋆, KFAC's is not",
        SINGLE,
        "in short: SGD's direction is biased towards Σ_x β⋆; KFAC's is not",
        (
            part(
                "SGD: mean cosine with the part of Σβ⋆ orthogonal to β⋆, κ_x = 30",
                rows.biases("sgd", 30),
                mean_of_all,
                at_least(0.3),
                at_least(0.1),
            ),
            part(
                "KFAC at λ⋆: the same",
                rows.biases("kfac", 30),
                mean_of_all,
                at_most(0.2),
                at_most(0.3),
            ),
        ),
        "spike",
        "Cosines with Σβ⋆ and with β⋆ were compared, 0.229 and −0.133, though the two directions overlap: "
        "the difference mixes bias with alignment. KFAC was not at λ⋆ = γτ²/c².",
        "x=link&y=cosine_bias",
    ),
    entry(
        "C4 better",
        "KFAC aligns better than SGD after one step, for every link and spectrum",
        SINGLE,
        "in short: KFAC's direction is the better one",
        (
            part(
                "smallest mean difference, KFAC at λ⋆ less SGD, over links and spectra, κ_x = 100",
                rows.alignment_gains(kappa_x=100),
                smallest_mean,
                at_least(0.05),
                at_least(0.0),
            ),
        ),
        "one_step_alignment",
        "Not judged before.",
        "x=aspect_ratio&y=alignment_direction&rows=link&at_kappa_x=100&pick=best",
    ),
    entry(
        "C5 single index",
        "With Σ_x = I one step of SGD aligns as well as KFAC's, and with κ_x = 100 it does not",
        ABSTRACT,
        "in short: with isotropic, well-conditioned data plain SGD is fine",
        (
            part(
                "KFAC at λ⋆ less SGD, γ = 0.01, κ_x = 1",
                rows.alignment_gains(kappa_x=1, aspect_ratio=0.01),
                mean_of_all,
                at_most(0.02),
                at_most(0.05),
            ),
            part(
                "KFAC at λ⋆ less SGD, γ = 0.01, κ_x = 100",
                rows.alignment_gains(kappa_x=100, aspect_ratio=0.01),
                mean_of_all,
                at_least(0.2),
                at_least(0.1),
            ),
        ),
        "one_step_alignment",
        "0.0736 over all γ: with few samples KFAC gains by shrinking noise, which is no matter of "
        "conditioning. The claim is one of many samples.",
        "x=kappa_x&y=alignment_direction&rows=link&at_aspect_ratio=0.01&pick=best",
    ),
    entry(
        "C7 generalisation",
        "Batch-norm may hurt generalisation at equal training loss",
        "paper, introduction",
        "“may even hurt generalization in the latter's case”",
        (
            part(
                "largest ratio over variants of excess losses, with over without, at equal training loss",
                rows.matched_ratios("excess_loss_ratio"),
                largest_geometric_mean,
                at_least(1.1),
                at_least(1.0),
            ),
            part(
                "the same of transfer losses, shown beside it",
                rows.matched_ratios("transfer_loss_ratio"),
                largest_geometric_mean,
                ANY,
                ANY,
            ),
        ),
        "batch_norm",
        "1.04, of transfer losses, which is not what the paper says; 0 in resamples without a case.",
        "x=step&y=train_loss,excess_loss&rows=none&at_kappa_x=100&only=bn_hidden_adam,adam",
    ),
    *(
        entry(
            f"C8 stability {name}",
            f"{name} ends well for fewer step sizes and dampings than KFAC",
            NUMERICAL,
            "on full second-order methods: they “heavily underperform KFAC in convergence rate and "
            "stability”",
            (
                part(
                    f"share of (η, λ) that end at distance ≤ 0.1, {name}'s less KFAC's",
                    rows.shares_of_choices(0.1),
                    difference(method, "kfac"),
                    at_most(-0.1),
                    at_most(-0.02),
                ),
            ),
            "second_order",
            "0.0625, of choices that do not diverge: one that stays where it began counted as stable, the "
            "dampings were in different units, and Newton had none.",
            f"x=lr&y=subspace_distance&only={method},kfac&pick=each",
        )
        for name, method in (("Gauss–Newton", "gauss_newton"), ("Newton", "newton"))
    ),
    entry(
        "C9 transfer",
        "The better representation transfers: KFAC's transfer loss is below SGD's",
        "paper, Sec. 4, Fig. 1",
        "in short: lower transfer loss on a new task, with its own head, Σ_x and noise",
        (
            part(
                "population transfer loss of SGD over KFAC's after the most steps",
                rows.transfer_at_the_end,
                ratio("sgd", "kfac"),
                at_least(2.0),
                at_least(1.1),
            ),
        ),
        "transfer",
        "6 after a refit on 300 samples, whose error hides the representation's; training and transfer "
        "task shared their Σ_x.",
    ),
    entry(
        "C9 order",
        "Methods that have learnt rank by transfer loss as by subspace distance",
        NUMERICAL,
        "in short: the better representation transfers",
        (
            part(
                "rank correlation over the methods with distance ≤ 0.5, strong regime",
                rows.distances_and_losses,
                rank_correlation("subspace_distance", "transfer_loss", 0.5),
                at_least(0.8),
                at_least(0.5),
            ),
        ),
        "head_to_head",
        "0.90, with the methods that have learnt nothing, which rank by chance, among them.",
        "x=step&y=subspace_distance,transfer_loss&rows=none&at_regime=strong",
    ),
    entry(
        "C9 test error",
        "Trained on, a readout on KFAC's features has a smaller test error than on SGD's",
        "paper, Fig. 3",
        "in short: the single-index comparison",
        (
            part(
                "test error of SGD's features over that of KFAC's, centred relu link, κ_x = 1000",
                rows.metric_of_selected(
                    "single_index_learning",
                    "test_error",
                    "method",
                    link="relu_centred",
                    kappa_x=1000,
                ),
                ratio("sgd", "kfac"),
                at_least(1.1),
                at_least(1.0),
            ),
        ),
        "single_index_learning",
        "1.13 with the tanh link, a problem that no method solves better than a linear predictor.",
    ),
    entry(
        "C10",
        "KFAC tolerates a wider range of step sizes than SGD",
        NUMERICAL,
        "in short: KFAC tolerates a wider range of step sizes",
        (
            part(
                "decades of η that end at distance ≤ 0.1, KFAC's less SGD's, mild regime",
                rows.distances_over_step_sizes,
                difference_of_widths("kfac", "sgd", 0.1),
                at_least(0.5),
                at_least(0.1),
            ),
            part(
                "the same, Adam's less SGD's, shown beside it",
                rows.distances_over_step_sizes,
                difference_of_widths("adam", "sgd", 0.1),
                ANY,
                ANY,
            ),
        ),
        "step_size",
        "0.24 decades within a factor of two of the best, which punishes a method whose best is better; "
        "widths were multiples of the grid's ratio.",
    ),
)
