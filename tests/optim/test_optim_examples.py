"""The examples of layerwise.optim run, and say what they did."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("network", ["cnn", "transformer"])
def test_classifiers_are_tuned_reported_and_plotted(network, tmp_path, capsys, monkeypatch):
    """Each method reports one choice; the table has the plot's curves, of seeds that tuned nothing."""
    monkeypatch.syspath_prepend(EXAMPLES)  # as for a program that is run by its path
    example = runpy.run_path(str(EXAMPLES / "train_classifiers.py"))
    assert len({len(choices) for choices, _ in example["METHODS"].values()}) == 1
    example["main"]([network, "--quick", "--out", str(tmp_path / "curves.png")])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:4]]
    assert [row[0] for row in rows] == ["SGD", "AdamW", "KFAC"]
    assert (tmp_path / "curves.png").stat().st_size > 0
    with (tmp_path / "curves.csv").open() as table:
        curves = list(csv.DictReader(table))
    assert {row["method"] for row in curves} == {"SGD", "AdamW", "KFAC"}
    for method in ("SGD", "AdamW", "KFAC"):
        its = [row for row in curves if row["method"] == method]
        assert [int(row["step"]) for row in its] == list(range(1, len(its) + 1))
        assert float(its[0]["loss"]) == pytest.approx(float(curves[0]["loss"]))  # before any step


def test_step_times_are_ratios_to_adams(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["time_optimizers.py", "--quick"])
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / "time_optimizers.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert [line.split(",")[0] for line in said.splitlines() if "batches" in line] == [
        "MLP",
        "CNN",
        "transformer",
    ]
    adam = [line.split() for line in said.splitlines() if line.startswith("Adam")]
    assert [row[2:] for row in adam] == [["1.00", "1.00-1.00", "2.0"]] * 3
