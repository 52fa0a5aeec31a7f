"""The single-run interface: what it writes, what it refuses, and that equal seeds give equal tables."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from checkout import environment
from layerwise import simulate

SMALL = [
    "task.d_x=8",
    "task.d_y=5",
    "task.rank=2",
    "task.batch_size=32",
    "steps=6",
    "record_every=2",
]


def app(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "layerwise.simulate", *SMALL, *overrides]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the program in this process, in an empty folder."""

    def of(*overrides: str) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["simulate", *SMALL, *overrides])
        simulate.main()

    return of


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What the program says of overrides that it refuses, run in this process: exit code 2, one sentence
    on the error stream, and no file."""

    def of(*overrides: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["simulate", *SMALL, *overrides])
        with pytest.raises(SystemExit) as ended:
            simulate.main()
        said = capsys.readouterr()
        assert ended.value.code == 2 and said.out == ""
        assert said.err.startswith("error: ") and said.err.count("\n") == 1
        assert list(tmp_path.iterdir()) == []
        return said.err

    return of


def test_one_row_for_each_variant_seed_and_step(ran, tmp_path: Path) -> None:
    """Rows are (damping, lr, seed, step), with the settings beside the metrics."""
    ran("method=kfac", "method.lr=[0.1,0.3]", "method.damping=[0.01,0.1]", "seeds=3")
    runs = pd.read_parquet(tmp_path / "run.parquet")
    assert len(runs) == 2 * 2 * 3 * 4
    assert not runs.duplicated(["lr", "damping", "seed", "step"]).any()
    assert set(runs["step"]) == {0, 2, 4, 6}
    expected = [
        "method",
        "lr",
        "damping",
        "seed",
        "step",
        "kappa_x",
        "kappa_f",
        "basis",
        "inputs",
        "batch_size",
        "train_loss",
        "excess_loss",
        "subspace_distance",
        "transfer_loss",
        "transfer_loss_population",
        "status",
    ]
    assert set(expected) <= set(runs.columns)
    assert json.loads((tmp_path / "run.parquet.json").read_text())["seeds"] == [0, 1, 2]


def test_both_engines_and_rademacher_inputs_run(ran, tmp_path: Path) -> None:
    ran("engine=batches", "task.inputs=rademacher", "seeds=2")
    assert set(pd.read_parquet(tmp_path / "run.parquet")["inputs"]) == {"rademacher"}


@pytest.mark.processes
def test_equal_seeds_give_identical_tables(ran, tmp_path: Path) -> None:
    """Byte for byte the same table from two processes, of which this is one."""
    done = app(tmp_path, "seeds=2", "out=one.parquet")
    assert done.returncode == 0, done.stderr
    ran("seeds=2", "out=two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("task.kapa_x=3", "task.kapa_x = 3 is not allowed: there is no such key, did you mean "
                          "'task.kappa_x'?"),
        ("method=[sgd,kfac]", "method = [sgd,kfac] is not allowed: allowed is one name, as in method="),
        ("method=kfacc", "method = 'kfacc' is unknown, did you mean 'kfac'?"),
        ("task.kappa_x=0.5", "task.kappa_x = 0.5 is not allowed: allowed is greater than or equal to 1"),
        ("method.lr=[-0.1]", "method.lr = -0.1 is not allowed: allowed is greater than 0"),
        ("method.lr=0", "method.lr = 0 is not allowed: allowed is greater than 0"),
        ("method.damping=[0.1]", "method.damping = [0.1] is not allowed: sgd has no damping"),
        ("task.rank=6", "task.rank = 6 is not allowed: at most min(d_x, d_y) = 5"),
        ("task.basis=rotate", "task.basis = 'rotate' is not allowed: allowed is 'rotated' or 'axis'"),
        ("task.noise=-1", "task.noise = -1 is not allowed: allowed is greater than or equal to 0"),
        ("task.d_x=8.5", "task.d_x = 8.5 is not allowed: allowed is a valid integer"),
        ("seeds=0", "seeds = 0 is not allowed: allowed is a count from 1 to 100000"),
        ("seeds=[1,1]", "seeds = [1, 1] is not allowed: seeds must differ"),
        ("engine=moments task.inputs=rademacher", "engine = 'moments' is not allowed with task.inputs"),
        ("record_every=0", "record_every = 0 is not allowed: allowed is an interval"),
        ("out=run.txt", "out = 'run.txt' is not allowed: allowed are .parquet and .csv files"),
        ("instances=no.npz", "instances = 'no.npz' is not allowed: there is no such file"),
        ("notakey", "the override 'notakey' is not allowed: it is not of Hydra's form key=value"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_with_one_sentence(refused, override: str, sentence: str) -> None:
    assert sentence in refused(*override.split())


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["method=kfac", "task.batch_size=7"],
            "task.batch_size = 7 is not allowed with method.damping",
        ),
        (["method=gauss_newton", "method.damping=[0]"], "method.damping = 0 is not allowed"),
    ],
)
def test_singular_inverses_are_refused(refused, overrides: list[str], sentence: str) -> None:
    assert sentence in refused(*overrides)


@pytest.mark.processes
def test_hydra_shows_the_configuration(tmp_path: Path) -> None:
    """Hydra's own flags keep working, and write nothing."""
    done = app(tmp_path, "--cfg", "job")
    assert done.returncode == 0 and "d_x: 8" in done.stdout
    assert list(tmp_path.iterdir()) == []
