"""Every drawn number is that of the figures' tables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise.page.folder import Folder
from layerwise.planning.plan import plan_all

pytestmark = pytest.mark.browser
QUARTILES = {"low": "low", "median": "middle", "high": "high"}


@dataclass(frozen=True)
class Case:
    """A figure's table, the view that draws its data, and which columns mean the same."""

    figure: str
    address: str
    x: str
    columns: dict[str, str]  # of the table, to the page's
    metric: str | None = None  # of a table of one metric
    by: tuple[str, ...] = ("problem", "method")
    undiverged: bool = False  # the table leaves diverged runs out; the page says that they diverged
    only: Mapping[str, str] = field(default_factory=dict)  # which rows of the table

    @property
    def experiment(self) -> str:
        """Whose data it draws."""
        return self.address.partition("?e=")[2].partition("&")[0]


def case(figure: str, x: str, metrics: str, view: str = "", **changes) -> Case:
    address = f"#explore?e={changes.pop('experiment', figure)}&x={x}&y={metrics}{view}"
    single = None if "," in metrics or changes.pop("long", False) else metrics
    return Case(figure, address, x, **{"columns": QUARTILES, "metric": single, **changes})


SELECTED = {"at": "selected"}
STUDENTS = "test_error,subspace_gap,transfer_error,transfer_error_isotropic"
CASES = [
    case("head_to_head", "step", "train_loss,subspace_distance,transfer_loss"),
    case("head_to_head_baselines", "step", "train_loss,subspace_distance,transfer_loss",
         experiment="head_to_head"),
    case("condition_study", "kappa_x", "iterations", "&rows=kappa_f", long=True, only=SELECTED),
    case("condition_collapse", "kappa_x", "iterations", "&rows=kappa_f", long=True, only=SELECTED),
    case("initial_scale", "kappa_x", "iterations", "&rows=head_scale"),
    case("modern_optimizers", "kappa_x", "iterations", long=True, only=SELECTED),
    case("rate_and_floor", "step", "subspace_distance", long=True),
    case("samples", "batch_size", "iterations", long=True),
    case("step_size", "lr", "subspace_distance"),
    case("contraction", "lr", "contraction", undiverged=True),
    case("transfer", "steps", "transfer_loss_population,subspace_distance"),
    case("sample_size", "batch_size", "subspace_distance", long=True),
    case("second_order", "lr", "subspace_distance", "&pick=each", undiverged=True,
         by=("problem", "method", "damping")),
    case("basis", "step", "subspace_distance", long=True),
    case("batch_norm", "step", "train_loss,excess_loss,transfer_loss"),
    case("single_index_regimes", "step", "alignment,test_error"),
    case("modern_alignment", "kappa_x", "alignment_readout,test_error"),
    case("one_step_alignment", "kappa_x", "alignment_direction", "&pick=each",
         columns={"alignment_direction": "middle", "alignment_direction_error": "error"},
         by=("problem", "method", "damping")),
    case("one_step_methods", "kappa_x", "test_error",
         columns={"test_error": "middle", "test_error_error": "error"},),
    case("one_step_methods", "kappa_x", "alignment_readout",
         columns={"alignment_readout": "middle", "alignment_readout_error": "error"}),
    case("readout_scale", "readout_scale", "alignment", "&pick=each",
         columns={"mean": "middle", "sem": "error"}, by=("problem", "method", "damping")),
    *(case("spike", "index", f"singular_values_{name}", "&spread=range",
           columns={f"{name}_min": "low", f"{name}_median": "middle", f"{name}_max": "high"})
      for name in ("update", "before", "after")),
    case("mlp_condition", "kappa_x", STUDENTS),
    case("mlp_basis", "kappa_x", STUDENTS),
    case("mlp_modern", "kappa_x", STUDENTS, experiment="mlp_condition"),
    case("mlp_depth", "steps", "test_error", long=True),
    case("mlp_samples", "n_train", "test_error"),
    case("digits_mixed", "kappa_x", "test_error,transfer_error"),
    case("digits_pixels", "inputs", "test_error,transfer_error"),
]  # fmt: skip
# What these draw is made of several metrics or problems by seed, which no view of the page is: log ratios,
# exponents, excesses over the noise's share.
DERIVED = {"inputs", "exponents", "single_index_learning", "single_index_methods"}


def test_every_figure_is_compared() -> None:
    planned = [one.experiment for one in plan_all(None, "quick").values()]
    figures = {figure for experiment in planned for figure in experiment.figures}
    assert figures == {one.figure.partition("-")[0] for one in CASES} | DERIVED


def held(browsing) -> list[str]:
    """Addresses that together hold every setting at every value."""
    keys = browsing.page.locator("#controls [data-key^=at_]").evaluate_all(
        "all => all.map(one => one.dataset.key)"
    )
    addresses = [""]
    for key in keys:
        values = browsing.page.locator(f"[data-key='{key}'] option").evaluate_all(
            "all => all.map(one => one.value)"
        )
        addresses = [f"{address}&{key}={value}" for address in addresses for value in values]
    return addresses


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.address)
def test_points_are_those_of_the_figure(
    browsing, page: Path, reproduced: Folder, one: Case
) -> None:
    if one.experiment not in reproduced.experiments:
        assert "PAGE_RESULTS" in os.environ, "the whole pipeline makes every experiment"
        pytest.skip("the given folder lacks the experiment")
    want = pd.read_csv(reproduced.figures / f"{one.figure}.csv")
    for column, value in one.only.items():
        want = want[want[column] == value]
    browsing.visit(page, one.address)
    tables = []
    for address in held(browsing):
        browsing.visit(page, one.address + address)
        if not browsing.page.locator("#chart svg").count():  # no problem has all these settings
            assert "nothing to draw" in browsing.page.locator("#said").inner_text()
            continue
        tables.append(pd.read_csv(browsing.download("[data-do=csv]")))
    got = pd.concat(tables).assign(error=lambda table: table["high"] - table["middle"])
    if one.undiverged:
        got = got[got["lost"] == 0]
    on = [*one.by, *([one.x] if one.x in want else [])]
    if "metric" in want:
        on.append("metric")
        want = want[want["metric"].isin(got["metric"].unique())]
    want = want[[*on, *one.columns]].rename(
        columns={key: f"{key} of the figure" for key in one.columns}
    )
    both = got.merge(want.drop_duplicates(on), on=on)
    assert len(both) == len(got) > 0
    if one.x != "step":  # along a run the page may leave places out, and says so
        assert len(both) == len(want.drop_duplicates(on)) or one.undiverged
    for figure, here in one.columns.items():
        drawn, table = both[here].to_numpy(float), both[f"{figure} of the figure"].to_numpy(float)
        table = np.where(np.isnan(table), np.inf, table)
        scale = both["middle"].abs().to_numpy(float) if here == "error" else table
        finite = np.isfinite(table)
        assert (np.isfinite(drawn) == finite).all(), here
        gap = np.abs(drawn[finite] - table[finite])
        assert (gap <= 2e-3 * np.abs(scale[finite]) + 1e-12).all(), (here, gap.max())
