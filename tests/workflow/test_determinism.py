"""The same seeds give the same tables, exactly, whatever runs beside them and in whatever order."""

import json
from pathlib import Path

import pandas as pd
import pytest

from checkout import NO_PAGE, Checkout
from helpers import quick_plan
from layerwise.results.tables import read_table
from layerwise.tasks.run import run_job


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True)


@pytest.mark.processes
def test_cores_and_order_do_not_matter(small_once: Checkout, tmp_path: Path) -> None:
    """On two cores as it comes; on one core, the last method first."""
    other, expected = Checkout(tmp_path), small_once.tables()
    (sgd,) = (name for name in expected if name.endswith("sgd-0.parquet"))
    first = other.small("--cores", "1", sgd)
    assert first.returncode == 0, first.stderr
    assert list(other.tables()) == [sgd]
    assert other.small("--cores", "1", *NO_PAGE).returncode == 0
    assert_same(other.tables(), expected)


@pytest.mark.parametrize(
    ("experiment", "method", "beside"),
    [
        ("contraction", "kfac", "experiment.methods=[sgd,adam,kfac]"),
        ("condition_study", "sgd", "experiment.methods=[dfw,sgd,kfac]"),
        ("one_step_methods", "kfac", "experiment.methods=[sgd,kfac]"),
        ("single_index_learning", "kfac", "experiment.methods=[adam,kfac]"),
    ],
)
def test_other_methods_do_not_matter(
    tmp_path: Path, experiment: str, method: str, beside: str
) -> None:
    """A method alone, and beside more or fewer others in one job."""
    rows = []
    for number, words in enumerate(([f"experiment.methods=[{method}]"], [], [beside])):
        path = tmp_path / f"{number}.parquet"
        (job,) = quick_plan(experiment, *words).jobs(100).values()
        run_job(json.loads(job.content), None, path)
        table = read_table(path)
        rows.append(table[table["method"] == method].reset_index(drop=True))
        assert set(table["method"]) == {cell.settings.method.name for cell in job.cells}
    alone, *others = rows
    for among in others:
        pd.testing.assert_frame_equal(among, alone, check_exact=True)
