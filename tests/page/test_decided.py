"""What decided a claim, as the page says it: pictures, cases, numbers by seed, and words."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise.claims import CLAIMS
from layerwise.claims.claim import Claim, Part, at_least, judge
from layerwise.claims.evidence import evidence
from layerwise.claims.interval import over_seeds
from layerwise.claims.pairs import largest_geometric_mean
from layerwise.page import margins
from layerwise.page.cases import cases_of
from layerwise.page.claims import counts, forest
from layerwise.page.decided import detail, numbers_by_seed
from layerwise.page.explained import DECIDED_BY, IN_OTHER_WORDS, definitions, glossary
from layerwise.page.folder import Folder
from layerwise.page.forest import BESIDE
from layerwise.page.judged import Judged, judged_claims
from layerwise.page.resamples import picture
from layerwise.page.text import span
from layerwise.results.tables import write_table
from odd_results import SEEDS, odd_results

SIDES = (margins.Side(1, 0.3, 0.1),)
PART = margins.Part("q", 0.5, 0.4, 0.6, SEEDS, SIDES)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return odd_results(tmp_path / "results" / "odd")


def claim_of(folder: Folder, name: str) -> Judged:
    return next(claim for claim in judged_claims(folder) if claim.name == name)


def with_largest_of(folder: Folder, rows: pd.DataFrame) -> Folder:
    """The folder with one claim, on the largest ratio of the rows' columns."""
    measure = over_seeds(lambda _: rows, largest_geometric_mean)
    part = Part("largest ratio", measure, at_least(2), at_least(1))
    claim = Claim("C1 largest", "says", "paper", (part,), "several")
    for name, table in evidence([(claim, judge(claim, {}))]).items():
        write_table(table, folder.results / f"claims{name}.parquet")
    return Folder(folder.name, folder.results, folder.project)


def ratios(**columns: float) -> pd.DataFrame:
    seeds = pd.RangeIndex(3, name="seed")
    return pd.DataFrame({name: np.full(3, one) for name, one in columns.items()}, index=seeds)


def test_a_part_without_a_bound_has_no_verdict(folder: Folder) -> None:
    claim = claim_of(folder, "C7 parts")
    assert claim.verdicts == ["reproduced", "not reproduced", BESIDE]
    assert "<b>Shown beside it.</b>" in detail(claim, folder)


def test_the_case_that_decides_is_named(folder: Folder) -> None:
    """By the labels of methods and the settings of problems, once for the same numbers."""
    names = ["sgd, kappa_x-1_x", "sgd, kappa_x-10_x", "<b>odd</b>, kappa_x-1_x"]
    anew = with_largest_of(folder, ratios(**dict(zip(names, (0.5, 1.25, 0.5), strict=True))))
    claim = claim_of(anew, "C1 largest")
    cases = cases_of(claim, 0, anew)
    assert [round(case.alone, 6) for case in cases] == [0.5, 1.25]
    assert [case.name for case in cases] == ["κ_x = 1", "SGD, κ_x = 10"]
    assert "decides: SGD, κ<sub>x</sub> = 10" in detail(claim, anew)


def test_columns_of_numbers_say_what_they_are_of(folder: Folder) -> None:
    levels = pd.MultiIndex.from_tuples([(1.0, 0.1), (10.0, 0.1)], names=["kappa_x", "lr"])
    anew = with_largest_of(folder, ratios(a=0.5, b=1.25).set_axis(levels, axis=1))
    names = [case.name for case in cases_of(claim_of(anew, "C1 largest"), 0, anew)]
    assert names == ["κ_x = 1, step size = 0.1", "κ_x = 10, step size = 0.1"]


def test_numbers_by_seed_have_one_meaning_a_column(folder: Folder) -> None:
    for text in json.loads(numbers_by_seed(folder)).values():
        table = [line.rsplit(",", 2) for line in text.splitlines()]
        assert text.startswith("statistic,case,seed,value\n")
        assert {line[1] for line in table[1:]} == {str(seed) for seed in range(SEEDS)}


def test_both_groups_are_counted(folder: Folder) -> None:
    view = counts(judged_claims(folder))
    assert "claims: 7" in view and "show: 1" in view
    assert sum(map(int, re.findall(r"<b>(\d+)</b>", view))) == 8


def test_ends_have_the_digits_of_the_value_and_the_weaker_bound_is_there(folder: Folder) -> None:
    view = forest([claim_of(folder, "C2 partly")], folder)
    assert re.search(r"<b>0\.55</b> <span>\[0\.5\d*, 0\.5\d+\]", view)
    assert "≤ 0.45 (weaker 1.2)" in view


def test_a_picture_has_bars_interval_bounds_and_ticks() -> None:
    shown = picture(PART, np.linspace(0.4, 0.6, 100), "reproduced")
    for mark in ('class="bar"', 'class="iv"', 'class="dot"', ">bound<", ">weaker<", 'class="tick"'):
        assert mark in shown, mark
    heights = [float(one) for one in re.findall(r'class="bar"[^>]*height="([\d.]+)"', shown)]
    assert 40 < len(heights) <= 48 and max(heights) == 80


def test_a_picture_leaves_out_what_is_infinite_and_says_so() -> None:
    lost = margins.Part("q", np.inf, 0.4, np.inf, SEEDS, SIDES)
    assert picture(lost, np.array([]), "partly") == ""
    shown = picture(PART, np.array([0.5, np.inf, np.nan]), "reproduced")
    assert "2 of them have no finite value" in shown
    alone = picture(margins.Part("q", 0.5, 0.5, 0.5, SEEDS, ()), np.array([]), BESIDE)
    assert 'class="bar"' not in alone and 'class="na"' in alone and "no resamples" in alone


def test_words_are_of_claims_that_there_are() -> None:
    assert {*IN_OTHER_WORDS, *DECIDED_BY} <= {claim.name for claim in CLAIMS}
    assert definitions(["D of KFAC"])[0].startswith("D: ") and not definitions(["a share"])
    assert "<dt>KFAC</dt>" in glossary() and "κ<sub>F</sub>" in glossary()


def test_a_span_of_seeds() -> None:
    assert (span([2, 3, 4]), span(3), span([1, 3]), span([])) == ("2–4", "0–2", "1, 3", "")
