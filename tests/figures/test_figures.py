"""Figures, by the tables that they draw: every method, every failure, the theory beside the points."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import METRICS, run
from layerwise.figures import render, style
from layerwise.results.aggregate import aggregate
from layerwise.results.tables import read_table, write_table

LABELS = {"sgd": "SGD", "kfac": "KFAC"}
PROBLEMS = [(1.0, 1.0), (30.0, 1.0), (1.0, 3.0), (30.0, 3.0)]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reduced tables of two methods on four problems, noiseless; SGD is too slow for the target."""
    folder = tmp_path_factory.mktemp("tables")
    paths = []
    for kappa_x, kappa_f in PROBLEMS:
        for method, lr in (("sgd", 0.02), ("kfac", 0.3)):
            table = run(
                method, f"method.lr=[{lr},100]", f"task.kappa_x={kappa_x}",
                f"task.kappa_f={kappa_f}", "task.noise=0.0", "steps=12",
                f"task.metrics=[{','.join([*METRICS, 'contraction_theory'])}]",
            )  # fmt: skip
            paths.append(folder / f"{kappa_x}-{kappa_f}-{method}.parquet")
            write_table(table.assign(problem=f"{kappa_x}-{kappa_f}", regime="some"), paths[-1])
    aggregate(paths, "iterations", 0.3, folder)
    return folder


def drawn(name: str, tables: Path, folder: Path) -> pd.DataFrame:
    """Render a figure; the table beside it, after checking that all three files are there."""
    names = ("summary", "scores", "selection", "traces")
    reduced = {one: read_table(tables / f"{one}.parquet") for one in names}
    render(name, reduced, LABELS, folder / f"{name}.pdf")
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for kind in ("pdf", "png", "csv")
    }
    return pd.read_csv(folder / f"{name}.csv")


def test_head_to_head_draws_the_selected_runs_only(tables: Path, tmp_path: Path) -> None:
    table = drawn("head_to_head", tables, tmp_path)
    assert set(table["metric"]) == {"train_loss", "subspace_distance", "transfer_loss"}
    assert set(table["lr"]) == {0.02, 0.3}  # the other step size diverges
    assert len(table) == len(PROBLEMS) * 2 * 3 * 13
    assert (table["low"] <= table["median"]).all() and (table["median"] <= table["high"]).all()


@pytest.mark.parametrize("name", ["condition_study", "condition_collapse"])
def test_never_reaching_the_target_is_infinite(name: str, tables: Path, tmp_path: Path) -> None:
    table = drawn(name, tables, tmp_path).set_index("method")
    assert np.isinf(table.loc["sgd", "median"]).all()
    assert np.isfinite(table.loc["kfac", "median"]).all()


def test_contraction_stands_beside_its_theory(tables: Path, tmp_path: Path) -> None:
    kfac = drawn("contraction", tables, tmp_path).set_index("method").loc["kfac"]
    assert kfac["median"].to_numpy() == pytest.approx(0.3, abs=1e-6)
    assert kfac["median_predicted"].to_numpy() == pytest.approx(0.3, abs=1e-12)


def test_panels_of_many_methods_are_parted() -> None:
    """At most six a panel: those with normalised inputs or features, and variants of KFAC, apart."""
    few = ["kfac", "sgd", "bn_input_sgd"]
    assert style.in_panels(few) == [style.ordered(few)]
    others = ["kfac_input", "bn_hidden_sgd", "bn_hidden_adam", "bn_input_sgd", "whitened_sgd"]
    plain, normalised = style.in_panels([*others, "sgd", "adam", "mine"])
    assert set(plain) == {"sgd", "adam", "mine"} and normalised == style.ordered(others)
    many = [*others, "kfac_first", "bn_input_adam"]
    assert [set(part) for part in style.in_panels([*many, "kfac", "mine"])] == [
        {"kfac", "mine"},
        {*others, "bn_input_adam"} - {"kfac_input"},
        {"kfac_input", "kfac_first"},
    ]
    assert [len(part) for part in style.in_panels(f"mine_{n}" for n in range(14))] == [6, 6, 2]


def test_every_method_of_the_configuration_has_its_own_look() -> None:
    """No two methods share colour, marker and line; an unlisted one gets a spare look."""
    looks = [tuple(str(value) for value in look.values()) for look in style.METHODS.values()]
    assert len(set(looks)) == len(looks)
    labels = {"mine": "Mine", "yours": "Yours"}
    mine, yours = (style.of_method(name, labels) for name in labels)
    assert mine["label"] == "Mine" and (mine["color"], mine["marker"]) != (
        yours["color"],
        yours["marker"],
    )
