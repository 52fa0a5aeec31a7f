"""The pipeline on a copy of the project: a real small run, what reruns after which change, refusals."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from snakemake.cli import parse_config

from checkout import NO_PAGE, OVERRIDES, Checkout, environment, only
from helpers import METRICS, RUN_COLUMNS
from layerwise.planning.pipeline import Pipeline
from layerwise.planning.request import requested
from layerwise.settings.validation import ConfigError

pytestmark = pytest.mark.processes
# Those of a table of contraction.
MEASURED = ("subspace_distance", "outside_norm", "contraction_theory")
LEFT_OUT = {*METRICS} - {*MEASURED}
COLUMNS = [name for name in RUN_COLUMNS if name not in LEFT_OUT]
COLUMNS.insert(COLUMNS.index("outside_norm") + 1, "contraction_theory")
# What is written of all that was run.
TOOK = r"took \d+\.\d s, \d+\.\d s of CPU with its start, \d+ MB of memory at most\n$"
PAGES = {"runs_page": 1, "claims": 1, "page": 1}


@pytest.fixture(scope="module")
def finished(small_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the small pipeline has run."""
    return Checkout(tmp_path_factory.mktemp("pipeline"), small_once)


@pytest.fixture
def checkout(finished: Checkout) -> Checkout:
    """The finished checkout; what a test edits is put back."""
    before = {
        path: path.read_bytes()
        for name in ("config", "workflow", "src")
        for path in (finished.folder / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    yield finished
    for path, content in before.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


def test_small_run_leaves_every_result(finished: Checkout) -> None:
    """Tables have the schema, every run its record, figures come as PDF, PNG and table."""
    results = only(finished.folder, "results/quick-*/contraction")
    tables = sorted(results.glob("runs/*.parquet"))
    assert len(tables) == 2  # two methods, on two problems each
    for table in tables:
        runs = pd.read_parquet(table)
        assert tuple(runs.columns) == (*COLUMNS, "problem")
        assert "ok" in set(runs["status"]) <= {"ok", "diverged"} and runs["problem"].nunique() == 2
        record = json.loads(Path(f"{table}.json").read_text())
        assert {"host", "versions", "python"} <= record.keys()
        assert [cell["seeds"] for cell in record["cells"]] == [[0, 1, 2], [0, 1, 2]]
        assert all(cell["configuration"]["steps"] == 20 for cell in record["cells"])
        assert all(cell["wall_seconds"] > 0 for cell in record["cells"])
    logs = [path.read_text() for path in results.glob("logs/*.log")]
    assert len(logs) == 4 and all(re.search(TOOK, log) for log in logs)
    plan = json.loads((results / "plan.json").read_text())
    assert {Path(job["table"]).name for job in plan["jobs"]} == {path.name for path in tables}
    figures = only(finished.folder, "figures/quick-*")
    assert {path.name for path in figures.iterdir()} == {
        "runs.html",
        "page-contraction.html",
        "settings.json",
        "claims-contraction.md",
        "claims-contraction.html",
        *(f"contraction.{kind}" for kind in ("pdf", "png", "csv")),
    }
    assert "seeds=3" in json.loads((figures / "settings.json").read_text())["overrides"]
    assert "The scale quick judges nothing" in (figures / "claims-contraction.md").read_text()
    drawn = pd.read_csv(figures / "contraction.csv")
    kfac = drawn[drawn["method"] == "kfac"]
    assert (kfac["median"] - kfac["lr"]).abs().max() < 1e-6  # contraction 1 - eta, without noise


def test_a_job_can_be_run_by_hand(checkout: Checkout, tmp_path: Path) -> None:
    """From its file alone: the same table, on the pipeline's instances or on its own."""
    results = only(checkout.folder, "results/quick-*/contraction")
    expected = pd.read_parquet(results / "runs/kfac-0.parquet")
    for number, more in enumerate(((), ("--instances", str(results / "instances/0.npz")))):
        out = tmp_path / f"{number}.parquet"
        words = ["--job", str(results / "jobs/kfac-0.json"), "--out", str(out), *more]
        subprocess.run(
            [sys.executable, checkout.folder / "scripts/simulate.py", *words], check=True,
            env=environment(checkout.folder / "src"),
        )  # fmt: skip
        pd.testing.assert_frame_equal(pd.read_parquet(out), expected, check_exact=True)


def test_nothing_reruns_without_a_change(checkout: Checkout) -> None:
    """Neither a second call nor a touched file reruns anything."""
    (checkout.folder / "src/layerwise/data/moments.py").touch()
    assert checkout.due() == Counter()


def test_a_linked_and_a_relative_checkout_are_the_same(checkout: Checkout, tmp_path: Path) -> None:
    """Through a link, and from another folder by relative paths, nothing is due, and a figure can be
    drawn again."""
    name, link = checkout.folder.name, tmp_path / "a liñk"
    link.symlink_to(checkout.folder, target_is_directory=True)
    near = ("--snakefile", f"{name}/Snakefile", "--directory", name, *NO_PAGE)
    for cwd, where, settings in (
        (link, NO_PAGE, "small.yaml"),
        (checkout.folder.parent, near, f"{name}/small.yaml"),
    ):
        words = ("--cores", "1", "--configfile", settings, *where)
        done = checkout.run(*words, cwd=cwd)
        assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr
        drawn = only(checkout.folder, "figures/quick-*/contraction.pdf")
        before = drawn.read_bytes()
        drawn.unlink()
        done = checkout.run(*words, cwd=cwd)
        assert done.returncode == 0, done.stderr
        assert "rule figure" in done.stderr and "rule simulate" not in done.stderr
        assert drawn.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        pytest.param(
            "config/method/kfac.yaml", "damping: null", "damping: [0.5]",
            {"simulate kfac": 1, "aggregate": 1, "figure": 1, **PAGES, "all": 1},
            id="a method's setting reruns that method and what follows",
        ),
        pytest.param(
            "src/layerwise/methods/sgd.py", "return gradients, None", "return tuple(gradients), None",
            {"simulate sgd": 1, "aggregate": 1, "figure": 1, **PAGES, "all": 1},
            id="a method's code reruns that method and what follows",
        ),
        pytest.param(
            "src/layerwise/data/moments.py", "/ batch_size**0.5", "/ batch_size ** (1 / 2)",
            {"simulate kfac": 1, "simulate sgd": 1, "aggregate": 1, "figure": 1, **PAGES, "all": 1},
            id="the engine's code reruns every simulation and no instances",
        ),
        pytest.param(
            "src/layerwise/data/spectra/log.py", "np.geomspace(kappa, 1.0, d)",
            "np.geomspace(kappa, 1, d)",
            {
                "instances": 1, "simulate kfac": 1, "simulate sgd": 1, "aggregate": 1,
                "figure": 1, **PAGES, "all": 1,
            },
            id="the instances' code reruns everything",
        ),
        pytest.param(
            "src/layerwise/data/moments.py", "self._place += 1", "self._place += (1)  # a comment",
            {},
            id="a comment and parentheses rerun nothing",
        ),
        pytest.param(
            "src/layerwise/figures/style.py", '"lines.linewidth": 1.2', '"lines.linewidth": 1.5',
            {"figure": 1, "page": 1, "all": 1},
            id="a figure's style redraws figures only",
        ),
        pytest.param(
            "config/method/kfac.yaml", "label: KFAC", "label: K-FAC",
            {"figure": 1, "page": 1, "all": 1},
            id="a label redraws figures only",
        ),
        pytest.param(
            "config/experiment/contraction.yaml", "target: 0.1", "target: 0.2",
            {"aggregate": 1, "figure": 1, "claims": 1, "page": 1, "all": 1},
            id="the selection's settings reduce again, and redraw",
        ),
    ],
)  # fmt: skip
def test_what_reruns(
    checkout: Checkout, path: str, old: str, new: str, expected: dict[str, int]
) -> None:
    """With a job for each method, ``jobs_of: method``. What a job of all methods depends on, and that an
    added method leaves it alone, is tested on plans."""
    checkout.edit(path, old, new)
    assert checkout.due() == Counter(expected)


def test_swapped_values_of_two_keys_rerun(checkout: Checkout) -> None:
    """Two keys that trade values are a change, though the set of values is the same."""
    checkout.edit("config/task/linear_representation.yaml", "rank: 8", "rank: 5")
    swapped = OVERRIDES.replace("task.d_y=5", "task.d_y=2").replace("task.rank=2", "task.rank=1")
    assert swapped != OVERRIDES
    checkout.edit("config/experiment/contraction.yaml", "kappa_x: [1, 10, 100], kappa_f: [1, 10]",
                  "kappa_x: [10], kappa_f: [1]")  # fmt: skip
    before = checkout.due()
    checkout.edit("config/experiment/contraction.yaml", "kappa_x: [10], kappa_f: [1]",
                  "kappa_x: [1], kappa_f: [10]")  # fmt: skip
    assert before["simulate kfac"] == checkout.due()["simulate kfac"] == 1


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("scale=quik", "did you mean 'quick'?"),
        ("scal=quick", "did you mean 'scale'?"),
        (
            'overrides=["method.soap.options.optimizer=torch.optim.LBFGS"]',
            "method.options.weight_decay = 0.0 is not allowed: torch.optim.LBFGS takes",
        ),
    ],
)
def test_bad_configuration_is_refused_before_any_job(
    checkout: Checkout, entry: str, sentence: str
) -> None:
    done = checkout.snakemake("--dry-run", "--config", entry)
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "rule " not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("experiments=[contracton]", "did you mean 'contraction'?"),
        ('overrides=["task.kappa=3"]', "task.kappa = 3 is not allowed"),
        ("overrides=3", "overrides = 3 is not allowed: allowed is a list"),
        ("overrides=seeds=0", "seeds = 0 is not allowed"),
        ("cells_per_job=0", "cells_per_job = 0 is not allowed"),
        ('overrides=["methods.kfac.lr=[-1]"]', "methods.kfac.lr = -1"),
    ],
)
def test_bad_entries_are_refused(entry: str, sentence: str) -> None:
    """Read as Snakemake reads them, by what the rules' refusal is made of, in this process."""
    with pytest.raises(ConfigError) as refused:
        Pipeline(requested(parse_config([entry])))
    assert sentence in str(refused.value)


def test_a_failing_job_says_why_and_names_its_log(small_once: Checkout, tmp_path: Path) -> None:
    """A corrupt instance file is refused by name; no table is left behind."""
    checkout = Checkout(tmp_path, small_once)
    for path in checkout.folder.glob("results/*/*/*/*.parquet*"):
        path.unlink()
    for path in checkout.folder.glob("results/*/*/instances/*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    done = checkout.small()
    assert done.returncode != 0
    assert re.search(
        r"error: .*instances/0\.npz is not a readable instance file.*\(log: ", done.stderr
    )
    assert not list(checkout.folder.glob("results/*/*/*/*.parquet"))


def test_another_package_of_the_same_name_is_told(finished: Checkout, tmp_path: Path) -> None:
    (tmp_path / "layerwise").mkdir()
    (tmp_path / "layerwise" / "__init__.py").write_text("")
    refused = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"], cwd=finished.folder,
        env=environment(tmp_path, finished.folder / "src"), capture_output=True, text=True,
    )  # fmt: skip
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "Traceback" not in said
    assert f"Python finds the package layerwise in {tmp_path / 'layerwise'}, and" in said


@pytest.mark.parametrize("fails", [False, True])
def test_snakemake_ends_with_its_last_job(
    small_once: Checkout, tmp_path: Path, fails: bool
) -> None:
    """It does not stay for the timers by which it looks for jobs, of ten minutes here."""
    checkout = Checkout(tmp_path, small_once)
    if fails:
        checkout.edit(
            "scripts/runs_page.py", "def main() -> None:\n", "def main() -> None:\n    1 / 0\n"
        )
    page = only(checkout.folder, "figures/quick-*/runs.html").relative_to(checkout.folder)
    words = ("--configfile", "small.yaml", "--max-jobs-per-timespan", "1000/10m", "--force")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *words, str(page)]
    done = subprocess.run(
        command, cwd=checkout.folder, env=environment(checkout.folder / "src"), timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == fails, done.stderr
    assert ("ZeroDivisionError" in done.stderr + done.stdout) == fails
