"""Every experiment of the configuration, run small from its plan to its figures, in this process."""

import importlib
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from helpers import QUICK_SIZES, quick_plan
from layerwise.figures import render, style
from layerwise.planning.compose import options
from layerwise.planning.drawing import reads_of
from layerwise.planning.expand import LABEL_KEYS
from layerwise.planning.plan import ExperimentPlan, Job, plan
from layerwise.results.aggregate import aggregate, collect
from layerwise.results.tables import read_table, write_table
from layerwise.tasks import linear_representation
from layerwise.tasks.run import run_cell, run_job


def run(planned: ExperimentPlan, folder: Path) -> list[Path]:
    """The run tables of an experiment, by the function that the script calls."""
    paths = []
    for (method, part), job in planned.jobs(16).items():
        paths.append(folder / f"{method}-{part}.parquet")
        run_job(json.loads(job.content), None, paths[-1])
    return paths


def reduced(planned: ExperimentPlan, runs: list[Path], folder: Path) -> dict[str, pd.DataFrame]:
    """The reduced tables, likewise."""
    experiment = planned.experiment
    if experiment.select_by == "nothing":
        collect(runs, folder)
    else:
        aggregate(runs, experiment.select_by, experiment.target, folder)
    return {path.stem: read_table(path) for path in sorted(folder.glob("*.parquet"))}


@pytest.fixture(scope="module")
def as_planned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Path]]:
    """The run tables of an experiment in small dimensions, made once."""
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def of(name: str) -> list[Path]:
        return run(quick_plan(name), folder / name)

    return of


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", options("experiment"))
def test_an_experiment_runs_from_its_plan_to_its_figures(
    as_planned, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each figure draws every method, from rows without duplicates, from what it says that it reads alone,
    and without a warning: its panels have room."""
    # Taking the letters that are written out of a font is a quarter of drawing, in the way of type 42.
    monkeypatch.setitem(style.RC, "pdf.fonttype", 3)
    experiment = quick_plan(name)
    tables = reduced(experiment, as_planned(name), tmp_path)
    task = experiment.cells[0].settings.task
    own = {*task.model_dump(), *task.metrics, *LABEL_KEYS}
    for figure in experiment.experiment.figures:
        read = {
            table: tables[table].drop(columns=own.difference(columns), errors="ignore")
            for table, columns in reads_of(figure).tables.items()
        }
        render(figure, read, experiment.labels, tmp_path / f"{figure}.pdf")
        drawn = pd.read_csv(tmp_path / f"{figure}.csv")
        assert not drawn.duplicated().any()
        assert set(drawn["method"]) == set(experiment.experiment.methods)
        assert (tmp_path / f"{figure}.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "all_methods"),
    [
        *((name, False) for name in options("experiment")),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in options("experiment")),
    ],
)
def test_a_method_that_diverges_everywhere_is_drawn(
    as_planned, name: str, all_methods: bool, tmp_path: Path
) -> None:
    """One method, or each, at step sizes that are all too large: the figures are drawn without a
    warning, nothing in them says NaN, and the drawn table has the method. The others' runs are those of
    the test above, which has placed the panels, as takes most of drawing."""
    methods = quick_plan(name).experiment.methods
    chosen = methods if all_methods else methods[:1]
    experiment = quick_plan(name, *(f"method.{method}.lr=[1e20,1e30]" for method in chosen))
    own = [cell for cell in experiment.cells if cell.settings.method.name in chosen]
    runs = [tmp_path / "runs" / "own.parquet"]
    run_job(json.loads(Job(tuple(own)).content), None, runs[0])
    for path in as_planned(name) if chosen != methods else ():
        table = read_table(path)
        runs.append(tmp_path / "runs" / path.name)
        write_table(table[~table["method"].isin(chosen)].reset_index(drop=True), runs[-1])
    read = reduced(experiment, runs, tmp_path)
    for name in experiment.experiment.figures:
        with mpl.rc_context(style.RC | {"figure.constrained_layout.use": False, "figure.dpi": 50}):
            drawing = importlib.import_module(f"layerwise.figures.{name}")
            figure, drawn = drawing.draw(read, experiment.labels)
            figure.canvas.draw()
        said = " ".join(text.get_text().lower() for text in figure.findobj(Text))
        plt.close(figure)
        assert "nan" not in said and "inf" not in said
        assert name == "contraction" or set(chosen) <= set(drawn["method"])


def test_captions_say_what_was_run() -> None:
    """Settings that all problems share, their number of seeds, and the selection rule."""
    for name in options("experiment"):
        summary = plan(name, "paper").summary
        seeds = 64 if name == "inputs" else 16
        assert f"{seeds} seeds" in summary and "{" not in summary
        # For readers, without the names that settings have in files, but for the dimensions'.
        assert not re.findall(r"[a-zA-Z]{2,}_\w+|\w_[a-z]{3,}", summary.replace("η_max", "")), (
            summary
        )
    assert "smallest training loss on average" in plan("batch_norm", "paper").summary
    assert "κ_x" not in plan("condition_study", "paper").summary.split(";")[0]
    # What problems name alike is told, and of what they vary the steps, which have a place of their own.
    assert "κ_x = 100," in plan("transfer", "paper").summary
    assert "; 50, 200, 800 steps, " in plan("transfer", "paper").summary
    # Only some of its problems vary the layers; the others' value is not what all share.
    assert "layers" not in plan("single_index_regimes", "paper").summary.split(";")[0]
    # Nor is a setting told that has no effect: pixels as they are have no spectrum that is chosen.
    assert "κ_x" in plan("digits_mixed", "paper", ["task.kappa_x=10"]).summary
    assert "κ_x" not in plan("digits_pixels", "paper").summary
    assert "transfer samples" not in plan("condition_study", "paper").summary


def test_step_sizes_span_two_decades_where_one_is_selected() -> None:
    """But in `contraction`, which draws every step size and keeps to stable ones, in
    `condition_collapse`, around what condition_study selects, and where dampings are tried as well."""
    apart = ("contraction", "condition_collapse")
    plans = [plan(name, "paper") for name in options("experiment") if name not in apart]
    selecting = [one for one in plans if one.experiment.select_by != "nothing"]
    assert selecting
    for cell in (cell for one in selecting for cell in one.cells):
        method = cell.settings.method
        span = max(method.lr) / min(method.lr)
        if len(method.damping) > 1:  # as many choices, of which fewer step sizes
            assert span >= 7 and len(method.lr) * len(method.damping) >= 12
        else:
            assert span >= 90, (method.name, cell.problem)


def test_transfer_tasks_share_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tables, bitwise, as from a run for each transfer task."""
    own = [*QUICK_SIZES["linear_representation"], "seeds=2", "steps=6", "task.kappa_x=[1,10]"]
    cells = plan("batch_norm", "quick", [*own, "task.transfer_kappa_x=[null,100]"]).cells
    cells += plan("batch_norm", "quick", [*own, "task.n_transfer=5"]).cells
    sgd = tuple(cell for cell in cells if cell.settings.method.name == "sgd")
    trained = []
    training = linear_representation.training
    monkeypatch.setattr(
        linear_representation,
        "training",
        lambda *of, **more: trained.append(of) or training(*of, **more),
    )
    run_job(json.loads(Job(sgd).content), None, tmp_path / "together.parquet")
    assert len(sgd) == 6 and len(trained) == 4  # two problems, tuned and reported
    together = read_table(tmp_path / "together.parquet").set_index("problem")
    for cell in sgd:
        run_cell(cell.settings, None, tmp_path / "alone.parquet")
        alone = read_table(tmp_path / "alone.parquet")
        own = together.loc[[cell.problem]].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            own[alone.columns], alone, check_exact=True, check_dtype=False
        )
