"""Overrides through the whole pipeline: the drawn numbers are theirs, in both halves of the project."""

import shutil

import pandas as pd
import pytest

from checkout import NO_PAGE, QUICK_EXPERIMENTS, Checkout, layerwise, only

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def finished(quick_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which two experiments have run as they stand, at the quick scale, and with overrides
    that concern all of their jobs."""
    checkout = Checkout(tmp_path_factory.mktemp("overrides"), quick_once)
    words = (*QUICK_EXPERIMENTS, "--scale", "quick", "seeds=2", "task.noise=0.5")
    layerwise(checkout, "reproduce", *words, "--", *NO_PAGE)
    return checkout


@pytest.mark.parametrize("experiment", QUICK_EXPERIMENTS)
def test_the_drawn_numbers_are_those_of_the_overrides(finished: Checkout, experiment: str) -> None:
    figures = finished.folder / "figures"
    before = pd.read_csv(figures / f"quick/{experiment}.csv")
    after = pd.read_csv(only(figures, f"quick-*/{experiment}.csv"))
    shared = [column for column in before if before[column].dtype == float and column in after]
    assert len(before) and len(after)
    assert not before[shared].equals(after[shared])
    results = only(finished.folder, f"results/quick-*/{experiment}")
    (name,) = {"summary", "runs"} & {path.stem for path in results.glob("*.parquet")}
    table = pd.read_parquet(results / f"{name}.parquet")
    assert set(table["seed"]) == {0, 1} and set(table["noise"]) == {0.5}


def test_a_table_of_other_settings_is_not_drawn(finished: Checkout) -> None:
    """Put in the place of the planned one, by hand, it is refused before anything is reduced."""
    results = only(finished.folder, "results/quick-*/contraction")
    standing = finished.folder / "results/quick/contraction"
    drawn = (finished.folder / "figures/quick/contraction.csv").read_bytes()
    for name in ("kfac-0.parquet", "kfac-0.parquet.json"):
        shutil.copy(results / "runs" / name, standing / "runs" / name)
    said = layerwise(finished, "reproduce", "contraction", "--scale", "quick", code=1)
    assert "kfac-0.parquet is of other settings than planned" in said
    assert "Traceback" not in said
    assert (finished.folder / "figures/quick/contraction.csv").read_bytes() == drawn
