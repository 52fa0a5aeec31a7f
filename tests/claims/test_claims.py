"""Claims: verdicts of parts and bounds, the files that hold them, and what readers are told."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from layerwise.claims import CLAIMS, interval, markdown, summary, table, write
from layerwise.claims.claim import (
    ANY,
    Claim,
    Estimate,
    NotMeasuredError,
    Part,
    at_least,
    at_most,
    between,
    judge,
)
from layerwise.claims.study import REGISTERED
from layerwise.planning.plan import plan_all
from layerwise.results.tables import write_table
from study_world import world


@pytest.fixture(scope="module")
def worlds():
    return {holds: world(holds) for holds in (True, False)}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Verdicts here do not hang on the last digit of an interval."""
    monkeypatch.setattr(interval, "resamples", partial(interval.resamples, count=40))


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
    parts = sum(len(claim.parts) for claim in CLAIMS)
    assert set(judged["verdict"]) == {"reproduced"} and len(judged) == parts
    text = (tmp_path / "claims.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == parts + 2
    assert {line.replace(r"\|", "").count("|") for line in rows} == {9}
    papers = sum(claim.name.startswith("C") for claim in CLAIMS)
    assert f"Of {papers} statements" in text and f"**{papers} reproduced**" in text
    ours = len(CLAIMS) - papers
    assert f"Of {ours} statements of ours: **{ours} reproduced**" in text
    assert REGISTERED in text
    assert "not run" in markdown(table({}))


def test_the_summary_counts_the_papers_claims_and_names_what_failed(worlds):
    good, bad = (summary(table(worlds[holds])) for holds in (True, False))
    own = [claim for claim in CLAIMS if claim.name.startswith("C")]
    assert f"Of {len(own)} statements" in good and f"**{len(own)} reproduced**" in good
    decided = sum(part.threshold != ANY for claim in own for part in claim.parts)
    papers = [text.split("statements of ours")[0].count("\n- ") for text in (good, bad)]
    assert papers[0] == 0 and len(own) <= papers[1] <= decided
    ours = [claim for claim in CLAIMS if claim.name.startswith("R")]
    assert all(
        f"{claim.statement} ({claim.name})" in text for claim in ours for text in (good, bad)
    )
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
        judged = table({"contraction": tables}).drop_duplicates("claim").set_index("claim")
        assert judged.loc["C2 rate", "verdict"] == "not measured"


def test_readers_are_told_what_was_run(worlds):
    judged = table(worlds[True])
    assert "**The scale quick judges nothing.**" in markdown(
        judged, "The scale quick judges nothing."
    )
    assert "judges nothing" not in markdown(judged)
