"""Statements of ours beyond the paper's two models: non-linear networks, and images.

D is the median over seeds of log10[(e(kappa_x = 1000) + 0.001) / (e(1) + 0.001)], e the test error. Two of
the claims are there to say where the message ends: they are expected to fail, and their statements say so.
"""

from layerwise.claims.claim import ANY, Part, at_least, at_most
from layerwise.claims.study_beyond_values import gaps, log_errors, median, median_difference
from layerwise.claims.study_entry import entry, part

SOURCE = "ours"
WORDS = "whether the paper's message holds for networks that are not linear, and for images"
EARLIER = "Not judged before."
CONDITION, SAMPLES = "mlp_condition", "mlp_samples"
WHITENED = {"directions": "whitened"}


def _flat(experiment: str, method: str, label: str, **where: object) -> Part:
    """D of a method is small."""
    return part(
        f"D of {label}",
        gaps(experiment, method, **where),
        median(method),
        at_most(0.3),
        at_most(0.5),
    )


def _wider(
    experiment: str, method: str, label: str, least: float, weaker: float, **where: object
) -> Part:
    """D of a method less KFAC's is large."""
    return part(
        f"D of {label} less KFAC's",
        gaps(experiment, method, "kfac", **where),
        median_difference(method, "kfac"),
        at_least(least),
        at_least(weaker),
    )


def _view(*methods: str, **where: object) -> str:
    """Test errors along κ_x."""
    held = "".join(f"&at_{key}={value}" for key, value in where.items())
    return f"x=kappa_x&y=test_error&rows=none&only={','.join(methods)}{held}"


BEYOND = (
    entry(
        "R10 KFAC",
        "On a network with one hidden layer KFAC's error after 200 fresh batches hardly depends on κ_x",
        SOURCE,
        WORDS,
        (_flat(CONDITION, "kfac", "KFAC", **WHITENED),),
        CONDITION,
        EARLIER,
        _view("kfac", **WHITENED),
    ),
    *(
        entry(
            f"R10 {name}",
            f"That of {said} does, more than KFAC's, with a rotated Σ_x",
            SOURCE,
            WORDS,
            tuple(
                _wider(CONDITION, method, label, 0.5, 0.25, **WHITENED) for method, label in methods
            ),
            CONDITION,
            EARLIER,
            _view(*(method for method, _ in methods), "kfac", **WHITENED),
        )
        for name, said, methods in (
            ("Adam", "Adam", (("adam", "Adam"), ("adam_95", "Adam, β₂ = 0.95"))),
            (
                "BN + Adam",
                "batch-norm with Adam",
                (
                    ("bn_hidden_adam", "BN hidden + Adam"),
                    ("bn_hidden_adam_95", "BN hidden + Adam, β₂ = 0.95"),
                ),
            ),
            ("momentum", "momentum", (("momentum", "momentum"),)),
        )
    ),
    entry(
        "R10 axes",
        "Where Σ_x lies along the axes that of Adam does not either",
        SOURCE,
        WORDS,
        (_flat("mlp_basis", "adam", "Adam"), _flat("mlp_basis", "adam_95", "Adam, β₂ = 0.95")),
        "mlp_basis",
        EARLIER,
        _view("adam", "adam_95"),
    ),
    entry(
        "R11 first layer",
        "The second moment of the inputs alone carries it; what P gains is no matter of anisotropy",
        SOURCE,
        WORDS,
        (
            _flat(CONDITION, "kfac_first", "KFAC, first layer's inputs only", **WHITENED),
            _flat(CONDITION, "kfac_input", "KFAC, inputs only", **WHITENED),
            part(
                "log10 error at κ_x = 1, KFAC's less that with inputs only, shown beside it",
                log_errors(CONDITION, "kfac", "kfac_input", kappa_x=1, **WHITENED),
                median_difference("kfac", "kfac_input"),
                ANY,
                ANY,
            ),
        ),
        CONDITION,
        EARLIER,
        _view("kfac_first", "kfac_input", "kfac", **WHITENED),
    ),
    entry(
        "R12 samples",
        "With 512 samples in all the same holds (expected to fail)",
        SOURCE,
        WORDS,
        (
            _flat(SAMPLES, "kfac", "KFAC", n_train=512),
            _wider(SAMPLES, "adam_95", "Adam, β₂ = 0.95", 0.5, 0.25, n_train=512),
        ),
        SAMPLES,
        EARLIER,
        _view("kfac", "adam_95", n_train=512),
    ),
    entry(
        "R13 digits",
        "On digits mixed with a condition number KFAC minds it less than Adam",
        SOURCE,
        WORDS,
        (
            part(
                "D of KFAC",
                gaps("digits_mixed", "kfac"),
                median("kfac"),
                at_most(0.2),
                at_most(0.3),
            ),
            _wider("digits_mixed", "adam", "Adam", 0.1, 0.05),
            _wider("digits_mixed", "adam_95", "Adam, β₂ = 0.95", 0.1, 0.05),
        ),
        "digits_mixed",
        EARLIER,
        _view("kfac", "adam", "adam_95"),
    ),
    entry(
        "R14 pixels",
        "On pixels as they are KFAC is no worse than batch-norm with Adam (expected to fail)",
        SOURCE,
        WORDS,
        (
            part(
                "log10 error, KFAC's less that of BN hidden + Adam, β₂ = 0.95",
                log_errors("digits_pixels", "kfac", "bn_hidden_adam_95", inputs="pixels"),
                median_difference("kfac", "bn_hidden_adam_95"),
                at_most(0),
                at_most(0.1),
            ),
        ),
        "digits_pixels",
        EARLIER,
    ),
)
