"""What the study's claims read: the tables and columns of each experiment, in one place.

Linear experiments' "summary" has a row for each problem, method, choice and seed; ``selected`` keeps the
choices that the experiment's rule selects. Metrics are a run's last ones unless said. A run that diverged
has NaN, and infinite iterations.
"""

STUDENTS = ("method", "lr", "damping", "seed", "status", "kappa_x", "test_error")
LINEAR = ("method", "lr", "damping", "seed", "status", "kappa_x", "kappa_f")

# Iterations are interpolated first passages: to the experiment's target, and to half of it.
ITERATIONS, ITERATIONS_HALF = "iterations", "iterations_half"
# The prediction at a run's own setting, of the quantity that the name begins with.
CONTRACTION, CONTRACTION_THEORY = "contraction", "contraction_theory"
DISTANCE, FLOOR_THEORY = "subspace_distance", "floor_theory"
# In one-step tables: whether a row has the damping with the best alignment, gamma tau^2 / c^2; true for
# methods that have none.
AT_BEST_DAMPING = "at_best_damping"
# The cosine of the update with the part of Sigma beta that is orthogonal to beta.
COSINE_BIAS = "cosine_bias"
# Of the direction of the function, E grad f(x), with the readout refitted.
ALIGNMENT_READOUT = "alignment_readout"

EXPECTED: dict[str, dict[str, tuple[str, ...]]] = {
    "condition_study": {"summary": (*LINEAR, ITERATIONS, ITERATIONS_HALF)},
    "rate_and_floor": {"summary": (*LINEAR, "schedule", DISTANCE, FLOOR_THEORY)},
    "single_index_learning": {
        "summary": ("method", "lr", "damping", "seed", "kappa_x", "link", "test_error")
    },
    "samples": {"summary": (*LINEAR, "batch_size", ITERATIONS)},
    "initial_scale": {"summary": (*LINEAR, "head_scale", ITERATIONS)},
    "step_size": {"summary": (*LINEAR, "regime", DISTANCE)},
    "second_order": {"summary": (*LINEAR, "batch_size", DISTANCE)},
    "inputs": {"summary": (*LINEAR, "inputs", "mean_subspace_distance")},
    "transfer": {"summary": (*LINEAR, "steps", "transfer_loss_population")},
    "head_to_head": {"summary": (*LINEAR, "regime", DISTANCE, "transfer_loss")},
    # Variants are compared at the iterations where their training losses are within 5 %.
    "batch_norm": {
        "traces": ("problem", "method", "seed", "step", "train_loss", "excess_loss", "transfer_loss")
    },
    "modern_optimizers": {"summary": (*LINEAR, ITERATIONS)},
    "modern_alignment": {"summary": ("method", "seed", "kappa_x", ALIGNMENT_READOUT)},
    "contraction": {"summary": (*LINEAR, CONTRACTION, CONTRACTION_THEORY)},
    "one_step_alignment": {
        "runs": (
            "problem", "method", "damping", "seed", "d", "aspect_ratio", "kappa_x", "spectrum", "link",
            "alignment_direction", "alignment_theory", AT_BEST_DAMPING,
        )
    },
    "one_step_methods": {"runs": ("method", "seed", "kappa_x", "basis", ALIGNMENT_READOUT)},
    "spike": {"runs": ("method", "seed", "kappa_x", "link", "step", COSINE_BIAS, AT_BEST_DAMPING)},
    "mlp_condition": {"summary": (*STUDENTS, "directions")},
    "mlp_basis": {"summary": STUDENTS},
    "mlp_samples": {"summary": (*STUDENTS, "n_train")},
    "digits_mixed": {"summary": STUDENTS},
    "digits_pixels": {"summary": (*STUDENTS, "inputs")},
    "sample_size": {"summary": (*LINEAR, "batch_size", DISTANCE, FLOOR_THEORY)},
}  # fmt: skip
