"""By what step sizes and dampings are selected. No torch."""

# What may select them, in words, and the metric that it looks at.
SELECTIONS = {
    "iterations": (
        "the fewest iterations to subspace distance {target:g}",
        "subspace_distance",
    ),
    "mean_subspace_distance": (
        "the smallest subspace distance on average over the iterations",
        "subspace_distance",
    ),
    "mean_train_loss": (
        "the smallest training loss on average over the iterations",
        "train_loss",
    ),
    "subspace_distance": (
        "the smallest subspace distance at the last iteration",
        "subspace_distance",
    ),
    "validation_error": (
        "the smallest error on held-out data at the last iteration",
        "validation_error",
    ),
}
# Collects an experiment's tables as they are.
NOTHING = "nothing"
