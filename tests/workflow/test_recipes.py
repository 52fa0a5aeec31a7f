"""The documentation's recipes, followed to the letter in a copy of the project: files are written as they
stand there, and every command is called."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from checkout import Checkout, environment

pytestmark = pytest.mark.processes
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
# Small, so that it is the recipe that is tested and not the machine.
TINY = ["seeds=2", "steps=6", "device=cpu"]


class Reader:
    """Someone who does what a page says, in a copy of the project, at home in ``home``."""

    def __init__(self, checkout: Checkout, home: Path) -> None:
        # A job for all methods of an experiment, as users have it at this scale.
        checkout.edit("config/scale/quick.yaml", "jobs_of: method", "jobs_of: experiment")
        self.folder, self.home, self.said = checkout.folder, home, ""
        home.mkdir()

    def follow(self, page: str) -> None:
        text = (Path(__file__).parents[2] / "docs" / page).read_text()
        for language, block in BLOCK.findall(text):
            first, _, rest = block.partition("\n")
            if language == "console":
                self._call(block)
            elif first.startswith("# file: "):
                path = self.folder / first.removeprefix("# file: ").replace("~", str(self.home))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(rest)
            elif first.startswith("# entry of OURS in "):
                path = self.folder / first.removeprefix("# entry of OURS in ")
                before, _, _ = path.read_text().rpartition(")")
                path.write_text(f"{before}{rest})\n")
            else:
                raise AssertionError(f"a block that nobody follows: {first}")

    def _call(self, block: str) -> None:
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ ").replace("~", str(self.home)))
            assert words[0] == "layerwise"
            if words[1] in ("explain", "reproduce"):
                words += TINY
            if words[1] == "reproduce":
                words += ["--cores", "2"]
            done = subprocess.run(
                [sys.executable, "-m", "layerwise.cli", *words[1:]],
                cwd=self.home, env=environment(self.folder / "src"), text=True, capture_output=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            self.said += done.stdout + done.stderr

    def drawn(self, figure: str) -> pd.DataFrame:
        (path,) = self.folder.glob(f"figures/quick-*/{figure}.csv")
        return pd.read_csv(path)


def test_a_method_of_ones_own_is_in_the_figures_of_both_halves(tmp_path: Path) -> None:
    reader = Reader(Checkout(tmp_path), tmp_path / "home")
    reader.follow("new_method.md")
    ours, torchs = "heavy_ball", "torch_heavy_ball"
    for figure in ("head_to_head", "single_index_learning"):
        drawn = reader.drawn(figure)
        assert {ours, torchs, "sgd", "kfac"} <= set(drawn["method"])
    # One checks the other, where both have the step size 0.01 and lr has one unit: on linear problems.
    runs = reader.folder.glob("results/quick-*/head_to_head/runs/*.parquet")
    table = pd.concat(pd.read_parquet(path) for path in runs)
    table = table[table["stage"] == "tuning"]
    table = table[table["method"].isin([ours, torchs])]
    last = table[(table["step"] == table["step"].max()) & (table["lr"] == 0.01)]
    by_method = last.pivot(index=["problem", "seed"], columns="method", values="subspace_distance")
    pd.testing.assert_series_equal(by_method[ours], by_method[torchs], check_names=False, rtol=1e-4)


def test_a_problem_an_experiment_a_figure_and_a_claim_of_ones_own(tmp_path: Path) -> None:
    reader = Reader(Checkout(tmp_path), tmp_path / "home")
    reader.follow("extending.md")
    drawn = reader.drawn("decay")
    assert set(drawn["spectrum"]) == {"log", "linear_decay"}
    assert "spectrum = linear_decay" in reader.said and "link = sine" in reader.said
    (claims,) = reader.folder.glob("figures/quick-*/claims-decay.md")
    assert "R9 decay" in claims.read_text()
