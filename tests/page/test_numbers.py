"""Every drawn number is that of the figures' tables."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise.page.folder import Folder

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
    some: bool = False  # the table has some of the page's points

    @property
    def experiment(self) -> str:
        """Whose data it draws."""
        return self.address.partition("?e=")[2].partition("&")[0]


def case(figure: str, x: str, metrics: str, view: str = "", **changes) -> Case:
    address = f"#explore?e={changes.pop('experiment', figure)}&x={x}&y={metrics}{view}"
    single = None if "," in metrics or changes.pop("long", False) else metrics
    return Case(figure, address, x, **{"columns": QUARTILES, "metric": single, **changes})


CASES = [
    case("head_to_head", "step", "train_loss,subspace_distance,transfer_loss"),
    case("condition_study", "kappa_x", "iterations", "&rows=kappa_f"),
    case("condition_heatmap", "kappa_x", "iterations", "&rows=kappa_f", experiment="condition_study"),
    case("modern_optimizers", "kappa_x", "iterations"),
    case("step_size", "lr", "subspace_distance"),
    case("contraction", "lr", "contraction", undiverged=True),
    case("transfer", "n_transfer", "transfer_loss"),
    case("sample_size", "batch_size", "subspace_distance", long=True),
    case("second_order", "lr", "subspace_distance", "&pick=each", undiverged=True,
         by=("problem", "method", "damping")),
    case("basis", "step", "subspace_distance", long=True),
    case("inputs", "step", "subspace_distance,transfer_loss"),
    case("batch_norm", "step", "train_loss,excess_loss,transfer_loss"),
    case("single_index_learning", "step", "alignment,test_error"),
    case("single_index_regimes", "step", "alignment,test_error"),
    case("modern_alignment", "kappa_x", "alignment,test_error"),
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
    # Of the sample sizes, that one step size and damping with which the target is reached first.
    case("sample_size", "lr", "iterations", "&pick=each", long=True, some=True,
         by=("problem", "method", "damping")),
]  # fmt: skip


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
    both = got.merge(want, on=on)
    assert len(both) == (len(want) if one.some else len(got)) > 0
    if one.x != "step":  # along a run the page may leave places out, and says so
        missing = len(want) - len(both)
        assert missing == 0 or (one.undiverged and not one.some)
    for figure, here in one.columns.items():
        drawn, table = both[here].to_numpy(float), both[f"{figure} of the figure"].to_numpy(float)
        table = np.where(np.isnan(table), np.inf, table)
        scale = both["middle"].abs().to_numpy(float) if here == "error" else table
        finite = np.isfinite(table)
        assert (np.isfinite(drawn) == finite).all(), here
        gap = np.abs(drawn[finite] - table[finite])
        assert (gap <= 2e-3 * np.abs(scale[finite]) + 1e-12).all(), (here, gap.max())
