"""The examples run as their own words say, and say something true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from checkout import environment

pytestmark = pytest.mark.processes
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=environment() | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_predicted_and_simulated_alignments_agree() -> None:
    lines = run("predict_alignment.py", "--d", "120", "--seeds", "4").splitlines()
    rows = [line.split() for line in lines if re.match("sgd|kfac", line)]
    assert len(rows) == 5
    for _, _, predicted, simulated in rows:
        assert abs(float(predicted) - float(simulated)) < 0.1
    # The best damping is the best of those tried, and huge damping is SGD.
    predictions = {float(row[1]): float(row[2]) for row in rows if row[0] == "kfac"}
    assert sorted(predictions, key=predictions.get)[-1] not in (0.01, 1.0, 100.0)
    assert abs(predictions[100.0] - float(rows[0][2])) < 0.02


def test_methods_are_compared_on_ones_own_problem() -> None:
    lines = run(
        "compare_methods.py", "--kappa-x", "100", "--steps", "60", "sgd", "kfac"
    ).splitlines()
    distances = {line.split()[0]: float(line.split()[2]) for line in lines[1:]}
    assert distances["kfac"] < 0.1 < distances["sgd"] < 1


def test_every_example_is_run_by_a_test() -> None:
    """Those of the optimiser have theirs beside its own; what they share is no program."""
    tested = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    programs = [path for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text()]
    assert len(programs) >= 5 and all(path.name in tested for path in programs)
