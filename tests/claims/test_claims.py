"""Claims: the statistics on data with known answers, and every verdict in a world where the claims hold
and in one where they do not."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from layerwise.claims import CLAIMS, markdown, summary, table, write
from layerwise.claims.claim import (
    Claim,
    Estimate,
    NotMeasuredError,
    Part,
    at_least,
    at_most,
    between,
    bootstrap,
    judge,
    single,
)
from layerwise.claims.measures import rank_correlation
from layerwise.claims.statistics import log_slope, ratio_of_medians, slope_to_reached
from layerwise.planning.plan import plan_all
from layerwise.results.tables import write_table

SEEDS = range(6)
COLUMNS = {"damping": 0.0, "lr": 0.1, "status": "ok"}


def jitter(seed: int) -> float:
    """A seed's own factor near one, with median one over SEEDS."""
    return 1 + 0.002 * (seed - 2.5)


def selecting(rows: list[dict]) -> dict[str, pd.DataFrame]:
    """A summary of one variant for each method and problem, all of them selected."""
    summary = pd.DataFrame([COLUMNS | row for row in rows])
    selection = summary[["problem", "method", "damping", "lr"]].drop_duplicates()
    return {"summary": summary, "selection": selection}


def grid(exponents: dict[str, tuple[float, float, float]]) -> dict[str, pd.DataFrame]:
    """Iterations first * kappa_x^a * kappa_F^b for each method's (first, a, b)."""
    rows = [
        {
            "method": method, "kappa_x": kx, "kappa_f": kf, "problem": f"{kx}-{kf}", "seed": seed,
            "steps_to_target": first * kx**a * kf**b * jitter(seed),
        }
        for (method, (first, a, b)), kx, kf, seed in product(
            exponents.items(), (1, 10, 100), (1, 3, 10), SEEDS
        )
    ]  # fmt: skip
    return selecting(rows)


def simple(cases: list[dict]) -> list[dict]:
    """Cases with every float times the seed's factor."""
    return [
        {k: v * jitter(seed) if isinstance(v, float) and k not in ("lr", "damping") else v
         for k, v in case.items()} | {"seed": seed}
        for case, seed in product(cases, SEEDS)
    ]  # fmt: skip


def one_step(cases: list[dict]) -> dict[str, pd.DataFrame]:
    """The tables of a step: its rows, and those of the start, whose alignments are missing."""
    after = pd.DataFrame(cases).assign(step=1)
    measured = [
        c for c in after if c.startswith(("alignment", "cosine")) and c != "alignment_theory"
    ]
    before = after.assign(step=0, **dict.fromkeys(measured, np.nan))
    return {"runs": pd.concat([before, after], ignore_index=True)}


def world(holds: bool) -> dict[str, dict[str, pd.DataFrame]]:
    """Tables of all experiments, in which every claim holds or none does."""
    up, level = ((0.9, 1.2), (0.0, 0.0)) if holds else ((0.0, 0.0), (0.9, 1.2))
    first = 10.0 if holds else 200.0
    results = {
        "condition_grid": grid(
            {
                "sgd": (first, *up), "amgd": (first, *up), "bn_hidden_sgd": (first, *up),
                "adam": (0.5 * first if holds else 2 * first, *up), "dfw": (5.0, *level),
                "kfac": (2.0, *level), "gauss_newton": (6.0, *level) if holds else (2.0, *level),
            }
        ),
        "modern_optimizers": grid({m: (5.0, *level) for m in ("shampoo", "soap", "muon", "spectral")}),
    }  # fmt: skip
    error = 0.0 if holds else 0.3
    results["contraction"] = {
        "summary": pd.DataFrame(
            [
                {"method": "kfac", "problem": p, "lr": 0.3, "seed": s, "contraction": 0.7 + error}
                for p, s in product("ab", SEEDS)
            ]
        )
    }
    alignments = [
        {"problem": f"p{kx}", "kappa_x": kx, "method": method, "damping": 0.1, "lr": np.nan,
         "alignment_theory": 0.8, "alignment_direction": 0.8 + offset}
        for kx, (method, offset) in product(
            (1, 10), (("sgd", -error / 2), ("kfac", error / 2))
        )
    ]  # fmt: skip
    results["one_step_alignment"] = one_step(
        [c | {"seed": s} for c, s in product(alignments, SEEDS)]
    )
    biased, straight = (0.9, 0.6) if holds else (0.6, 0.9)
    results["spike"] = one_step(
        simple(
            [
                {"method": m, "problem": "p", "damping": 0.1, "cosine_biased": b, "alignment": a}
                for m, b, a in (("sgd", biased, straight), ("kfac", straight, biased))
            ]
        )
    )
    ratios = {"adam": 2.0, "bn_input_sgd": 2.0, "sgd": 1.0} if holds else {
        "adam": 0.5, "bn_input_sgd": 0.5, "sgd": 1.0}  # fmt: skip
    results["basis"] = selecting(
        simple(
            [
                {"method": m, "basis": b, "problem": b,
                 "mean_subspace_distance": 0.5 * (r if b == "rotated" else 1.0 if holds else 2.0)
                 * (1.0 if m != "bn_input_sgd" else 0.5 if holds or b == "rotated" else 1.0)}
                for (m, r), b in product(ratios.items(), ("axis", "rotated"))
            ]
        )
    )  # fmt: skip
    results["batch_norm"] = selecting(
        simple(
            [
                {"method": m, "problem": "p", "mean_train_loss": 1.0,
                 "transfer_loss": (2.0 if holds else 0.5) if m.startswith("bn_") else 1.0}
                for m in ("sgd", "bn_hidden_sgd", "bn_input_sgd")
            ]
        )
    )  # fmt: skip
    results["second_order"] = {
        "summary": pd.DataFrame(
            [
                {"method": m, "lr": lr, "seed": s,
                 "status": "diverged" if (m == "gauss_newton") == holds and lr > 2 else "ok"}
                for m, lr, s in product(("kfac", "gauss_newton"), (1, 2, 3), SEEDS)
            ]
        )
    }  # fmt: skip
    share = 0.2 if holds else 0.9
    alignments = {"sgd": 0.6, "kfac": 0.8, "adam": 0.6 + 0.2 * share}
    alignments |= {"bn_hidden_sgd": 0.6, "bn_input_sgd": 0.6 + 0.2 * share}
    results["one_step_methods"] = one_step(
        simple(
            [
                {"method": m, "kappa_x": 100, "basis": b, "damping": 0.1 if m == "kfac" else 0.0,
                 "lr": 1.0, "problem": b, "alignment_readout": v}
                for (m, v), b in product(alignments.items(), ("axis", "rotated"))
            ]
        )
    )  # fmt: skip
    trained = (
        {"kfac": (0.9, 0.1), "sgd": (0.8, 0.2)}
        if holds
        else {"kfac": (0.8, 0.2), "sgd": (0.9, 0.1)}
    )
    results["single_index_learning"] = selecting(
        simple(
            [
                {"method": m, "along": "kappa_x", "kappa_x": 1000, "problem": "p", "alignment": a,
                 "test_error": e}
                for m, (a, e) in trained.items()
            ]
        )
    )  # fmt: skip
    modern = 0.9 if holds else 0.5
    results["modern_alignment"] = selecting(
        simple(
            [
                {"method": m, "kappa_x": 1000, "problem": "p", "alignment": a}
                for m, a in {
                    "sgd": 0.5, "kfac": 0.9, "shampoo": modern, "soap": modern, "muon": modern,
                    "spectral": modern,
                }.items()
            ]
        )
    )  # fmt: skip
    losses = {"sgd": 3.0, "kfac": 1.0} if holds else {"sgd": 1.0, "kfac": 1.0}
    results["transfer"] = selecting(
        simple([{"method": m, "n_transfer": 300, "problem": "p", "transfer_loss": v}
                for m, v in losses.items()])
    )  # fmt: skip
    results["head_to_head"] = selecting(
        simple(
            [
                {"method": m, "regime": "strong", "problem": "p", "subspace_distance": d,
                 "transfer_loss": d if holds else 1 - d}
                for m, d in (("sgd", 0.9), ("adam", 0.5), ("kfac", 0.1))
            ]
        )
    )  # fmt: skip
    wide, narrow = np.array([1.0, 1.0, 1.0, 1.0]), np.array([9.0, 1.0, 9.0, 9.0])
    scores = {"kfac": wide, "sgd": narrow} if holds else {"kfac": narrow, "sgd": wide}
    results["step_size"] = {
        "summary": pd.DataFrame(
            [
                {"method": m, "regime": "mild", "lr": lr, "seed": s, "subspace_distance": v}
                for (m, values), s in product(scores.items(), SEEDS)
                for lr, v in zip((0.01, 0.1, 1.0, 10.0), values, strict=True)
            ]
        )
    }
    results["inputs"] = selecting(
        simple(
            [
                {"method": m, "inputs": i, "problem": i,
                 "mean_subspace_distance": 1.0 if holds or i == "gaussian" else 3.0}
                for m, i in product(("sgd", "kfac"), ("gaussian", "rademacher"))
            ]
        )
    )  # fmt: skip
    results["sample_size"] = selecting(
        simple(
            [
                {"method": "kfac", "batch_size": n, "problem": n,
                 "subspace_distance": n ** (-0.5 if holds else 0.0)}
                for n in (100, 1000, 10000)
            ]
        )
    )  # fmt: skip
    small, large = (0.0, 0.3) if holds else (0.3, 0.0)
    results["readout_scale"] = one_step(
        [
            {"problem": scale, "method": "sgd", "damping": 0.0, "readout_scale": scale,
             "width": 100, "seed": s, "alignment_theory": 0.8, "alignment": 0.8 - drop}
            for (scale, drop), s in product(((0.05, small), (1.0, large)), SEEDS)
        ]
    )  # fmt: skip
    return results


@pytest.fixture(scope="module")
def worlds():
    return {holds: world(holds) for holds in (True, False)}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_verdict_follows_its_data(claim, worlds):
    assert judge(claim, worlds[True]).verdict == "reproduced"
    assert judge(claim, worlds[False]).verdict == "not reproduced"
    assert judge(claim, {}).verdict == "not run"
    without_tables = {experiment: {} for experiment in worlds[True]}
    assert judge(claim, without_tables).verdict == "not measured"


MEASURED = (
    "steps_to_target", "subspace_distance", "mean_subspace_distance", "mean_train_loss", "transfer_loss",
    "contraction", "alignment", "alignment_direction", "alignment_readout", "test_error",
    "cosine_biased",
)  # fmt: skip


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
@pytest.mark.parametrize("failed", [np.inf, np.nan])
def test_where_every_run_diverges_no_claim_is_reproduced(claim, failed, worlds):
    results = {
        experiment: {
            name: frame.assign(
                **{column: failed for column in MEASURED if column in frame},
                **({"status": "diverged"} if "status" in frame else {}),
            )
            for name, frame in tables.items()
        }
        for experiment, tables in worlds[True].items()
    }
    assert judge(claim, results).verdict == "not reproduced"


def test_between_the_bounds_a_claim_is_partly_reproduced():
    def claim(values):
        return single(
            "c", "s", "paper", "q", lambda _: pd.DataFrame({"x": values}),
            lambda rows: float(np.median(rows)), at_least(1.0), at_least(0.5), "f",
        )  # fmt: skip

    assert judge(claim([0.7, 0.7, 0.7]), {}).verdict == "partly"
    # The interval decides, not its centre: one seed of three below the bound.
    assert judge(claim([0.7, 1.1, 1.2]), {}).verdict == "partly"
    assert judge(claim([1.1, 1.1, 1.2]), {}).verdict == "reproduced"


def part(value, bound=at_least(1.0), weaker=at_least(0.0)):  # noqa: B008, a tuple
    """A part whose statistic has the value in all resamples; None where the tables lack it."""

    def measure(_):
        if value is None:
            raise NotMeasuredError("nothing")
        return Estimate(value, value, value, 3)

    return Part("q", measure, bound, weaker)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((2.0, 2.0), "reproduced"),
        ((2.0, 0.5), "partly"),
        ((0.5, -1.0, 2.0), "not reproduced"),
        ((2.0, np.nan), "not reproduced"),
        ((2.0, None), "not measured"),
    ],
)
def test_a_claim_is_as_good_as_its_worst_part(values, verdict):
    claim = Claim("c", "s", "paper", tuple(part(value) for value in values), "f")
    judged = judge(claim, {})
    assert judged.verdict == verdict
    assert len(judged.parts) == len(values)


def test_a_bound_on_both_sides():
    bound = between(-0.1, 0.2)
    assert bound.met_by(-0.1, 0.2) and not bound.met_by(-0.2, 0.1) and not bound.met_by(0, 0.3)
    assert str(bound) == "between -0.1 and 0.2"
    assert (str(at_least(2)), str(at_most(0.5))) == ("at least 2", "at most 0.5")
    narrow, wide = between(0.8, 1.25), between(0.5, 2.0)
    claim = Claim("c", "s", "paper", (part(1.5, narrow, wide),), "f")
    assert judge(claim, {}).verdict == "partly"


def test_what_cannot_be_ordered_meets_no_bound():
    for bound in (at_least(0.0), at_most(0.0)):
        assert not bound.met_by(np.nan, np.nan)
    assert at_least(1).met_by(np.inf, np.inf) and not at_most(1).met_by(0.0, np.inf)


def test_slopes_of_power_laws():
    keys = np.tile([1.0, 10.0, 100.0], (4, 1))
    rows = np.hstack([3 * keys**0.7, keys])
    assert log_slope(rows) == pytest.approx(0.7, abs=1e-12)
    rows[:, 2] = np.inf  # never reached at the largest key
    assert log_slope(rows) == np.inf
    assert slope_to_reached(rows) == pytest.approx(0.7, abs=1e-12)
    rows[:, 1] = np.inf
    assert slope_to_reached(rows) == np.inf
    rows[:, 0] = np.inf  # nor anywhere else
    assert np.isnan(slope_to_reached(rows))


def test_ratios_and_ranks():
    assert ratio_of_medians(np.array([[2.0, 1.0], [np.inf, 1.0], [3.0, 1.0]])) == 3.0
    with np.errstate(invalid="ignore"):
        assert np.isnan(ratio_of_medians(np.full((3, 2), np.inf)))
    assert rank_correlation(np.array([[1.0, 2, 3, 10, 20, 30]])) == pytest.approx(1)
    assert rank_correlation(np.array([[1.0, 2, 3, 30, 20, 10]])) == pytest.approx(-1)
    tied = np.array([[1.0, np.inf, np.inf, 10, 20, 30]])
    assert rank_correlation(tied) == pytest.approx(3**0.5 / 2)


def test_the_bootstrap_interval_is_that_of_the_mean():
    """For a mean of normals the percentile interval is near +- 1.96 standard errors."""
    rows = np.random.default_rng(0).standard_normal((400, 1))
    low, high = bootstrap(rows, lambda rows: float(rows.mean()))
    error = rows.std() / 20
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert bootstrap(rows, lambda rows: float(rows.mean())) == (low, high)


def test_every_claim_names_a_figure_that_is_drawn():
    figures = {f for plan in plan_all(None, "quick").values() for f in plan.experiment.figures}
    assert {claim.figure for claim in CLAIMS} <= figures
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)


def test_files_hold_every_claim(tmp_path, worlds):
    paths = []
    for experiment, tables in worlds[True].items():
        for name, frame in tables.items():
            paths.append(tmp_path / experiment / f"{name}.parquet")
            write_table(frame, paths[-1])
    write(paths, tmp_path / "claims.csv", tmp_path / "claims.md", tmp_path / "claims.html")
    judged = pd.read_csv(tmp_path / "claims.csv")
    assert set(judged["verdict"]) == {"reproduced"} and len(judged) == len(CLAIMS)
    text = (tmp_path / "claims.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == len(CLAIMS) + 2
    assert {line.replace(r"\|", "").count("|") for line in rows} == {9}
    assert f"{len(CLAIMS)} reproduced" in text
    assert "not run" in markdown(table({}))


def test_the_summary_counts_the_papers_claims_and_names_what_failed(worlds):
    good, bad = (summary(table(worlds[holds])) for holds in (True, False))
    papers = sum(claim.name.startswith("C") for claim in CLAIMS)
    assert f"Of {papers} statements" in good and f"**{papers} reproduced**" in good
    assert good.count("\n- ") == 0 and bad.count("\n- ") == papers
    assert "not reproduced: SGD slows down as κ_x grows" in bad


def test_tables_of_overrides_judge_nothing_and_stop_nothing(worlds):
    """With two dampings in the place of one, or without a method, a claim on them is not measured."""
    contraction = worlds[True]["contraction"]
    twice = {
        name: pd.concat([one, one.assign(damping=9.0)], ignore_index=True)
        for name, one in contraction.items()
    }
    without = {name: one[one["method"] != "kfac"] for name, one in contraction.items()}
    for tables in (twice, without):
        judged = table({"contraction": tables}).set_index("claim")
        assert judged.loc["C2 rate", "verdict"] == "not measured"
        assert set(judged.drop("C2 rate")["verdict"]) <= {"not run", "not measured"}


def test_readers_are_told_what_was_run(worlds):
    judged = table(worlds[True])
    assert "**The scale quick judges nothing.**" in markdown(
        judged, "The scale quick judges nothing."
    )
    assert "**" not in markdown(judged).split("|")[0]
