"""The study's claims: verdicts in a world where they hold and in one where they do not, and their page."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from layerwise.claims import interval
from layerwise.claims.claim import ANY, judge
from layerwise.claims.columns import EXPECTED
from layerwise.claims.study import PAPER, STUDY, page
from study_world import world


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Verdicts here do not hang on the last digit of an interval."""
    monkeypatch.setattr(interval, "resamples", partial(interval.resamples, count=40))


@pytest.fixture(scope="module")
def worlds():
    return {holds: world(holds) for holds in (True, False)}


@pytest.mark.parametrize("entry", STUDY, ids=lambda entry: entry.claim.name)
def test_a_verdict_follows_its_data(entry, worlds):
    good, bad = (judge(entry.claim, worlds[holds]) for holds in (True, False))
    assert good.verdict == "reproduced", good
    assert bad.verdict == "not reproduced", bad
    for one in (*good.parts, *bad.parts):
        assert one.estimate.low <= one.estimate.value <= one.estimate.high
    assert judge(entry.claim, {}).verdict == "not run"


MEASURED = (
    "iterations", "iterations_half", "subspace_distance", "mean_subspace_distance", "contraction",
    "transfer_loss", "transfer_loss_population", "test_error", "alignment_direction", "cosine_bias",
    "alignment_readout", "excess_loss",
)  # fmt: skip


@pytest.mark.parametrize("entry", STUDY, ids=lambda entry: entry.claim.name)
@pytest.mark.parametrize("failed", [np.inf, np.nan])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_where_every_run_diverges_no_claim_is_reproduced(entry, failed, worlds):
    results = {
        experiment: {
            name: frame.assign(**{column: failed for column in MEASURED if column in frame})
            for name, frame in tables.items()
        }
        for experiment, tables in worlds[True].items()
    }
    assert judge(entry.claim, results).verdict == "not reproduced"


def test_tables_of_the_worlds_have_the_columns_that_are_expected(worlds):
    read = {entry.reads for entry in STUDY}
    assert read <= EXPECTED.keys() and read == worlds[True].keys()
    for experiment, tables in worlds[True].items():
        for name, frame in tables.items():
            expected = EXPECTED[experiment].get(name)
            unknown = set(frame) - {*(expected or frame), "problem", "lr", "damping", "status"}
            assert not unknown, (experiment, unknown)


def test_every_part_but_those_that_are_shown_has_bounds_that_can_fail():
    assert len({entry.claim.name for entry in STUDY}) == len(STUDY)
    for entry in STUDY:
        parts = entry.claim.parts
        assert any(part.threshold != ANY for part in parts)
        for part in parts:
            assert part.partly.low <= part.threshold.low
            assert part.partly.high >= part.threshold.high


def test_papers_claims_are_counted_apart():
    assert all(entry.claim.name.startswith("C") for entry in PAPER)
    assert all(entry.claim.name.startswith("R") for entry in STUDY[len(PAPER) :])
    assert all(entry.claim.source.startswith("paper") for entry in PAPER)


def test_the_page_is_the_table():
    written = Path(__file__).parents[2] / "docs" / "claims.md"
    assert written.read_text() == page(), "python -m layerwise.claims.study > docs/claims.md"
