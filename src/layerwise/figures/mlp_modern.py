"""Students of a teacher against κ_x, by newer optimisers: error, subspace gap and transfer."""

from layerwise.figures.mlp_condition import draw

READS = {
    "summary": [
        "kappa_x", "directions", "basis", "test_error", "subspace_gap", "transfer_error",
        "transfer_error_isotropic",
    ],
    "selection": [],
}  # fmt: skip
__all__ = ["draw"]
