"""The paper's claims on rates, C1 to C3 and those of C5 to C8, as the study judges them. Bounds follow from
what a claim says."""

import numpy as np

from layerwise.claims import study_values as rows
from layerwise.claims.claim import Bound, Part, at_least, at_most, between
from layerwise.claims.formulas import largest_error
from layerwise.claims.pairs import mean_of_all, ratio
from layerwise.claims.rates import exponent, largest_over_smallest, largest_relative_error
from layerwise.claims.study_entry import ABSTRACT, LINEAR, NUMERICAL, entry, part

STUDY = rows.STUDY
ROOT_TEN = float(np.sqrt(10))
INTEGERS = (
    "Iterations were whole steps, the slow cells were cut off at 400 steps, and the slope was over all "
    "condition numbers, start-up included"
)


def _exponent(
    method: str, key: str, threshold: Bound, partly: Bound, lr: float | None = None
) -> Part:
    """Of the iterations over the top decade of kappa_x, or half-decade of kappa_F."""
    low, high = {"kappa_x": (100.0, 1000.0), "kappa_f": (ROOT_TEN, 10.0)}[key]
    symbol = {"kappa_x": "κ_x", "kappa_f": "κ_F"}[key]
    at = "" if lr is None else f" at η = {lr:g}"
    return part(
        f"exponent of the iterations{at} in {symbol}, from {low:.3g} to {high:g}",
        rows.iterations(method, key, lr=lr),
        exponent(low, high),
        threshold,
        partly,
    )


def _view(*methods: str, key: str = "kappa_x", lr: float | None = None, other: float = 1) -> str:
    """Iterations along a condition number, the other one held, at a step size or the selected ones."""
    fixed = {"kappa_x": "kappa_f", "kappa_f": "kappa_x"}[key]
    at = "" if lr is None else f"&pick={lr:g}"
    shown = f"x={key}&y=iterations&rows=none&at_{fixed}={other:g}"
    return f"{shown}&only={','.join(methods)}{at}"


RATES = (
    entry(
        "C1 κ_x",
        "SGD slows down as κ_x grows, in proportion, at its best step size",
        ABSTRACT,
        "in short: (S)GD's subspace error decays ever more slowly as κ_x grows; theory: κ_x",
        (_exponent("sgd", "kappa_x", at_least(0.8), at_least(0.5)),),
        STUDY,
        f"0.56. {INTEGERS}.",
        _view("sgd"),
    ),
    entry(
        "C1 κ_F",
        "SGD slows down as κ_F grows, as its square, at its best step size",
        ABSTRACT,
        "in short: and as κ_F grows; theory: κ_F²",
        (_exponent("sgd", "kappa_f", at_least(1.6), at_least(1.0)),),
        STUDY,
        f"1.12. {INTEGERS}.",
        _view("sgd", key="kappa_f"),
    ),
    entry(
        "C2 κ_x",
        "KFAC's rate does not depend on κ_x",
        LINEAR,
        "in short: the theorem's rate has neither condition number",
        (
            part(
                "exponent of the iterations at η = 0.1 in κ_x, from 1 to 1000",
                rows.iterations("kfac", "kappa_x", lr=0.1),
                exponent(1, 1000),
                between(-0.05, 0.05),
                between(-0.1, 0.1),
            ),
        ),
        STUDY,
        "0.12, of iterations that are 1 and 2: a slope of rounding.",
        _view("kfac", lr=0.1),
    ),
    entry(
        "C2 κ_F",
        "KFAC's rate does not depend on κ_F",
        LINEAR,
        "in short: the theorem's rate has neither condition number",
        (
            part(
                "T(0.05) − T(0.1) at η = 0.1: largest over smallest, κ_F = 1, √10, 10",
                rows.late_iterations("kfac", 0.1),
                largest_over_smallest,
                at_most(1.05),
                at_most(1.15),
            ),
        ),
        STUDY,
        "0.3, of iterations that are 1 and 2. The difference of two passages leaves out the start, which "
        "depends on F⋆; the rate is what is left.",
        _view("kfac", key="kappa_f", lr=0.1),
    ),
    entry(
        "C2 rate",
        "Without noise KFAC contracts by 1 − η a step whatever κ_x and κ_F, and SGD as its modes do",
        LINEAR,
        "in short: G₊P⊥ = (1 − η) GP⊥",
        (
            part(
                "KFAC's largest |contraction − (1 − η)| over condition numbers and η",
                rows.contraction_errors,
                largest_error,
                at_most(1e-6),
                at_most(1e-3),
            ),
            part(
                "SGD's largest |(1 − contraction) over the sum over modes at a frozen head, less 1|",
                rows.contraction_ratios("sgd_features"),
                largest_relative_error,
                at_most(0.05),
                at_most(0.15),
            ),
        ),
        "contraction",
        "1.6e-9 for KFAC. SGD was compared with its slowest mode alone, off by factors of 0.8 to 18 where "
        "that is not alone yet.",
    ),
    entry(
        "C3 AMGD",
        "AMGD inherits the dependence on κ_x",
        LINEAR,
        "in short: AMGD inherits the dependence on κ_x",
        (_exponent("amgd", "kappa_x", at_least(0.8), at_least(0.5)),),
        STUDY,
        f"0.64. {INTEGERS}.",
        _view("amgd"),
    ),
    entry(
        "C3 DFW",
        "Whitening the features' gradient removes it",
        LINEAR,
        "in short: feature whitening (DFW, KFAC) removes it",
        (_exponent("dfw", "kappa_x", at_most(0.1), at_most(0.25), lr=0.1),),
        STUDY,
        "0.04, of iterations that are small integers.",
        _view("dfw", lr=0.1),
    ),
    entry(
        "C5 linear",
        "With κ_x = κ_F = 1 plain SGD is fine: it contracts as the theory says",
        ABSTRACT,
        "in short: with isotropic, well-conditioned data plain SGD is fine",
        (
            part(
                "1 − contraction over the theory's, mean over step sizes, κ_x = κ_F = 1",
                rows.contraction_ratios("sgd", kappa_x=1, kappa_f=1),
                mean_of_all,
                between(0.8, 1.25),
                between(0.5, 2.0),
            ),
        ),
        "contraction",
        "21.5 iterations against a bound of 40 that was not derived from anything.",
    ),
    entry(
        "C6 helps",
        "Adam mitigates: its iterations grow less from κ_x = 1 to 100 than SGD's",
        ABSTRACT,
        "on Adam and batch-norm: they “only mildly mitigate”",
        (
            part(
                "T(100)/T(1) of Adam over that of SGD",
                rows.growth("adam", "sgd"),
                ratio("adam", "sgd"),
                at_most(0.5),
                at_most(0.8),
            ),
        ),
        STUDY,
        "0.61, the ratio of iterations at κ_x = 100 alone, which mixes growth with Adam's constant.",
        _view("adam", "sgd"),
    ),
    entry(
        "C6 mildly",
        "Adam mitigates only mildly: its iterations still grow with κ_x",
        ABSTRACT,
        "“only mildly mitigate”; “do not fix the issues”",
        (_exponent("adam", "kappa_x", between(0.25, 0.75), between(0.15, 0.85)),),
        STUDY,
        f"0.289 against a bound of 0.5 meant for SGD. {INTEGERS}.",
        _view("adam"),
    ),
    entry(
        "C7 mildly",
        "With batch-norm after the first layer SGD still slows down as κ_x grows",
        ABSTRACT,
        "“only mildly mitigate”; “do not fix the issues”",
        (_exponent("bn_hidden_sgd", "kappa_x", at_least(0.5), at_least(0.25)),),
        STUDY,
        f"0.50. {INTEGERS}.",
        _view("bn_hidden_sgd", "sgd"),
    ),
    entry(
        "C8 rate",
        "Full Gauss–Newton is slower than KFAC",
        NUMERICAL,
        "on full second-order methods: they “heavily underperform KFAC in convergence rate and stability”",
        (
            part(
                "iterations of Gauss–Newton over KFAC's, both at η = 0.1, κ_x = 100, κ_F = 3",
                rows.at_one_problem("gauss_newton", "kfac", lr=0.1, kappa_x=100, kappa_f=3),
                ratio("gauss_newton", "kfac"),
                at_least(1.5),
                at_least(1.1),
            ),
        ),
        STUDY,
        "2, of iterations that are small integers.",
        _view("gauss_newton", "kfac", lr=0.1, other=3),
    ),
)
