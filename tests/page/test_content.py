"""What the page carries of tables: axes, values, default views, looks; and what lies in its HTML."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise.claims import CLAIMS
from layerwise.claims.claim import judge
from layerwise.claims.evidence import evidence
from layerwise.figures import style
from layerwise.page.about import about
from layerwise.page.compare import comparison
from layerwise.page.document import data, document
from layerwise.page.experiment import Tables, experiment_json
from layerwise.page.folder import Folder, folder_of
from layerwise.page.forest import VERDICTS
from layerwise.page.looks import dashes, looks, outline
from layerwise.page.problems import problems_of
from layerwise.page.runs import runs
from layerwise.page.text import symbols
from layerwise.page.values import thinned
from layerwise.planning.plan import plan_all
from layerwise.results.columns import SUMMARISED
from layerwise.results.descriptions import METRICS, Offer, default_view
from layerwise.results.files import FileError
from odd_results import HOSTILE, STEPS, VIEW, claims, odd_results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return odd_results(tmp_path_factory.mktemp("odd") / "results" / "odd")


def read(folder: Folder, name: str) -> dict:
    tables = Tables(folder.results / name, folder.experiments[name]["select_by"])
    return json.loads(experiment_json(tables))


def problems(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(
        [{"problem": str(i), "method": "sgd", "seed": 0, **row} for i, row in enumerate(rows)]
    )


def test_settings_that_go_together_share_an_axis() -> None:
    read = problems_of(
        problems(
            {"regime": "mild", "kappa_x": 10, "kappa_f": 1, "noise": 0.1},
            {"regime": "strong", "kappa_x": 1000, "kappa_f": 3, "noise": 0.1},
        )
    )
    (axis,) = read.axes
    assert axis.key == "regime" and axis.labels[0] == "mild (κ_x = 10, κ_F = 1)"
    assert read.fixed == {"noise": 0.1} and read.crossed


def test_a_tag_that_others_determine_is_no_axis() -> None:
    read = problems_of(
        problems(
            {"along": "a", "kappa_x": 1, "aspect_ratio": 0.25},
            {"along": "a", "kappa_x": 10, "aspect_ratio": 0.25},
            {"along": "b", "kappa_x": 10, "aspect_ratio": 1.0},
            {"along": "b", "kappa_x": 10, "aspect_ratio": 0.5},
        )
    )
    assert {axis.key for axis in read.axes} == {"kappa_x", "aspect_ratio"} and not read.crossed


def test_a_setting_that_some_problems_lack_has_a_place() -> None:
    read = problems_of(problems({"transfer_kappa_x": None}, {"transfer_kappa_x": 100.0}))
    assert read.axes[0].labels == ["same as in training", "100"] and read.places == [[0], [1]]


def test_failures_are_infinite_and_undefined_values_missing(folder: Folder) -> None:
    several = read(folder, "several")
    entry = next(e for e in several["final"] if e["n"] and several["methods"][e["m"]] == "sgd")
    distances = entry["y"][several["metrics"].index("subspace_distance")]
    assert np.isinf(distances).sum() == entry["n"] == 3
    alignment = several["traced"].index("alignment")
    line = several["trace"][0]
    assert line["t"] == list(STEPS)
    assert all(seed[0] is None and seed[1] is not None for seed in line["y"][alignment])


def test_a_metric_that_nobody_described_is_there(folder: Folder) -> None:
    assert "a new <metric>" in read(folder, "several")["metrics"]


def test_every_metric_that_is_measured_is_described() -> None:
    """One that is not has its column's name, no word for what is lost, and may be taken for a setting."""
    measured = {
        name
        for planned in plan_all(None, "quick").values()
        for cell in planned.cells
        for name in cell.settings.task.metrics
    }
    assert len(measured) > 20
    numbered = {name for name in measured if name.startswith("singular_values")}
    assert {*measured, *SUMMARISED} - numbered <= METRICS.keys()


def test_rule_and_network_are_no_settings(folder: Folder) -> None:
    several = read(folder, "several")
    assert set(several["fixed"]) == {"noise", "basis", "target"}
    assert [axis["key"] for axis in several["axes"]] == ["kappa_x"]


def test_thinned_places_keep_both_ends() -> None:
    kept = thinned(range(500), 20)
    assert len(kept) <= 20 and kept[0] == 0 and kept[-1] == 499
    assert thinned([0, 1, 5], 20) == [0, 1, 5]


OFFER = Offer(
    numeric={}, named=[], crossed=True, step_sizes=10, along=("step", 90),
    final=list(METRICS), fixed={"noise": 0.1}, select_by="mean_subspace_distance",
    traced=["subspace_distance", "train_loss", "transfer_loss", "alignment", "test_error"],
)  # fmt: skip


ONE_STEP = {"along": None, "select_by": None, "traced": []}
VIEWS = [
    ({"named": ["regime"]}, "step", "subspace_distance", "regime"),
    ({"select_by": "mean_train_loss"}, "step", "train_loss", None),
    ({"numeric": {"kappa_x": 4, "kappa_f": 3}, "select_by": "iterations"},
     "kappa_x", "iterations", "kappa_f"),
    ({"numeric": {"n_transfer": 6}}, "n_transfer", "transfer_loss", None),
    ({"step_sizes": 17, "along": ("step", 16), "select_by": "subspace_distance"},
     "lr", "subspace_distance", None),
    ({"fixed": {"noise": 0.0}, "select_by": "subspace_distance"}, "lr", "contraction", None),
    ({"numeric": {"kappa_x": 4, "aspect_ratio": 3}, "crossed": False, "select_by": "validation_error"},
     "kappa_x", "alignment", None),
    ({"along": ("step", 4), "select_by": "validation_error"}, "step", "alignment", None),
    (ONE_STEP | {"numeric": {"kappa_x": 4}, "final": ["alignment_direction", "test_error"]},
     "kappa_x", "alignment_direction", None),
    ({"named": ["link"], "along": ("index", 20), "select_by": None, "final": ["alignment"],
      "traced": ["singular_values_update", "singular_values_after"]},
     "index", "singular_values_update", "link"),
    (ONE_STEP | {"final": ["unheard of"], "step_sizes": 1, "numeric": {"n": 2}}, "n", "unheard of", None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "x", "first", "rows"), VIEWS)
def test_the_first_view_is_what_an_experiment_is_about(
    changes: dict, x: str, first: str, rows: str | None
) -> None:
    view = default_view(OFFER._replace(**changes))
    assert (view.x, view.y[0], view.rows) == (x, first, rows)


def test_looks_are_those_of_the_figures() -> None:
    found = looks(style.METHODS, {name: name.upper() for name in style.METHODS})
    assert list(found) == list(style.METHODS)
    for name, look in found.items():
        assert look["color"] == style.METHODS[name]["color"]
        assert (look["dash"] == []) == (style.METHODS[name]["linestyle"] == "-")
    assert len({(one["color"], str(one["dash"]), one["shape"]) for one in found.values()}) == len(
        found
    )
    assert outline("s") == "M-1,1L1,1L1,-1L-1,-1Z" and dashes((0, (3, 1)))


def test_labels_that_two_methods_share_are_told_apart() -> None:
    found = looks(["sgd", "mine"], {"sgd": "SGD", "mine": "SGD"})
    assert {look["label"] for look in found.values()} == {"SGD (sgd)", "SGD (mine)"}


def test_settings_in_a_sentence_are_symbols() -> None:
    assert symbols("slope in kappa_x and κ_F") == "slope in κ<sub>x</sub> and κ<sub>F</sub>"
    assert symbols("kappa_f < 1") == "κ<sub>F</sub> &lt; 1"
    assert symbols("kappa_xy, my_kappa_x") == "kappa_xy, my_kappa_x"


def test_every_text_is_escaped(folder: Folder) -> None:
    page = document([folder, folder])
    own = re.sub(r"<script[^>]*>.*?</script>|<style>.*?</style>", "", page, flags=re.DOTALL)
    assert "window.hacked" in own and "<script>window" not in page
    assert not re.search(r"<i>(odd|rotated)|<b>odd", own)
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page)
    assert policy and "unsafe" not in policy[1]


def test_a_small_scale_and_overrides_are_said_first(folder: Folder) -> None:
    page = document([folder])
    assert "judge nothing" in page and "With overrides" in page


def test_without_claims_the_page_is_still_made(tmp_path: Path) -> None:
    bare = odd_results(tmp_path / "results" / "odd")
    for path in bare.results.glob("claims*"):
        path.unlink()
    (bare.results / "about.json").unlink()
    page = document([folder_of(bare.results)])
    assert "No claims were judged here" in page and "several" in page


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results" / "empty").mkdir(parents=True)
    with pytest.raises(FileError, match="has no tables"):
        folder_of(tmp_path / "results" / "empty")
    with pytest.raises(FileError, match="not a folder of results"):
        folder_of(tmp_path)


def test_what_was_run_says_times_choices_and_commit(folder: Folder) -> None:
    view = runs(folder)
    for words in (
        "3 methods × 2 problems × 5 seeds",
        "commit 0000",
        "Selected step sizes",
        "seeds that report: 0–4",
        "chosen on seeds 10–12",
        "κ<sub>x</sub> = 10",
    ):
        assert words in view, words


def test_a_comparison_puts_changed_verdicts_and_what_moved_first(
    folder: Folder, tmp_path: Path
) -> None:
    other = odd_results(tmp_path / "results" / "other", shift=0.4)
    view = comparison(folder, other)
    order = re.findall(r'class="claim( changed)?', view)
    assert order == sorted(order, reverse=True)
    ratios = [float(text) for text in re.findall(r"<b>([\d.]+)</b></td>", view)]
    distances = [abs(np.log(ratio)) for ratio in ratios]
    assert len(ratios) == 7 and distances == sorted(distances, reverse=True)
    assert "No setting differs" in comparison(folder, folder)


def test_evidence_of_what_was_not_measured_is_empty() -> None:
    unknown = [(claim, judge(claim, {})) for claim in CLAIMS]
    assert all(len(evidence(unknown)[name]) == 0 for name in ("_resamples", "_seeds"))


def test_evidence_holds_what_decided_a_claim() -> None:
    judged = [(claim, judge(claim, {})) for claim in claims(0.0)]
    tables = evidence(judged)
    first = tables[""].iloc[0]
    assert (first["lower"], first["weaker_lower"]) == (0.3, 0.1) and np.isnan(first["upper"])
    assert first["statistic"] == "mean" and "def mean" in first["statistic_code"]
    assert first["view"] == VIEW
    resamples = tables["_resamples"].query("claim == 'C1 holds'")["value"]
    assert np.quantile(resamples, 0.025, method="lower") == first["low"]
    assert len(tables["_seeds"].query("claim == 'C1 holds'")) == first["seeds"]
    assert set(tables[""]["verdict"]) <= set(VERDICTS)


def test_the_pipeline_says_what_every_experiment_asks() -> None:
    said = about(plan_all(None, "quick"), "quick", [], lambda name: f"{name}?")
    for name, content in said["experiments"].items():
        assert content["question"] == f"{name}?" and content["figures"]
    assert said["labels"]["kfac"] == "KFAC"


def test_the_catalogue_cannot_end_its_script(folder: Folder) -> None:
    meta = data([folder])[0]
    assert "<" not in meta.removeprefix('<script type="application/json" id="meta">').removesuffix(
        "</script>"
    )
    assert HOSTILE in json.loads(re.sub("<[^>]*>", "", meta))["looks"]["kfac"]["label"]
