"""The benchmark: its contenders do the same arithmetic, its clock and its tables are what they say."""

import json
import runpy
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import Stepper, Weights, assert_close, population, random_weights
from layerwise.benchmark import end_to_end, engines, floor, pipeline, plain
from layerwise.benchmark.plain import PlainLoop
from layerwise.benchmark.scaling import SCALED, SECOND_ORDER
from layerwise.benchmark.sizes import METHODS, QUICK, changed, configured
from layerwise.benchmark.timing import Spread, interleaved
from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.metrics.linear import subspace_distance
from layerwise.networks.linalg import orthonormal_rows
from layerwise.settings import memory
from layerwise.tasks.run import run_table

LR, STEPS, N = 0.05, 4, 40
MEASURED = ["quantity", "median", "low", "high", "unit"]
COLUMNS = {
    "engines": ["method", "engine", "dtype", "device", "threads", "rounds", "runs", "timed_runs",
                "timed_steps", *MEASURED],
    "scaling": ["method", "axis", "value", "relative", "dtype", "device", "threads", "rounds",
                *MEASURED],
    "second_order": ["method", "axis", "value", "dtype", "device", "threads", "rounds", *MEASURED],
    "end_to_end": ["figure", "engine", "dtype", "device", "threads", "rounds", "methods", "runs",
                   "extrapolated", *MEASURED],
    "single_index": ["method", "steps", "runs", "dtype", "device", "threads", "rounds", *MEASURED],
    "floor": ["method", "dtype", "device", "threads", "rounds", "operation", "times", "share",
              *MEASURED],
}  # fmt: skip
METHODS_OF = {"scaling": SCALED, "second_order": SECOND_ORDER}


def single_precision() -> tuple[Population, Weights]:
    """A population of three seeds, and initial weights with one variant."""
    of = population(seeds=(0, 1, 2))
    weights = random_weights(of, variants=1)
    return (
        Population(*(getattr(of, name).float() for name in
                     ("features", "head", "eigenvalues", "eigenvectors")), of.noise),
        Weights(*(weight.float() for weight in weights)),
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("one_seed", [True, False])
def test_the_plain_loop_takes_the_methods_steps(method: str, one_seed: bool) -> None:
    """Weights after each of four steps on the same raw batches, to single precision."""
    of, start = single_precision()
    loop = PlainLoop(of, start.features[:, 0], start.head[:, 0], N, one_seed)
    which = 0 if one_seed else slice(None)
    features, head = (weight[which, 0].clone().requires_grad_() for weight in start)
    step = plain.STEPS[method](features, head, LR)
    settings = changed(configured(QUICK, method), "method.lr", [LR]).method
    ours = Stepper(settings, of, start)
    weights = start
    for _ in range(STEPS):
        x, y = loop.batch()
        step(x, y)
        # Where the loop has one seed, ours have its batch three times.
        own = (part.expand(3, *part.shape[-2:]) for part in (x, y))
        weights = ours.step(weights, [Moments.of_batch(*own)])
        assert_close(features.detach(), weights.features[which, 0], 1e-5)
        assert_close(head.detach(), weights.head[which, 0], 1e-5)
    assert (features.detach() - start.features[which, 0]).abs().max() > 1e-2  # it went somewhere


def test_the_plain_loop_draws_the_populations_batches() -> None:
    """Second moments of 20000 samples: Sigma_x, and y's noise; entries within five standard errors."""
    of, start = single_precision()
    loop = PlainLoop(of, start.features[:, 0], start.head[:, 0], 20_000, one_seed=False)
    x, y = loop.batch()
    spread = 5 * 2**0.5 / 20_000**0.5
    covariance = of.covariance_power(1.0)
    assert (x.mT @ x / 20_000 - covariance).abs().max() < spread * covariance.abs().max()
    residual = (y - x @ of.map.mT).square().mean()
    assert float(residual) == pytest.approx(of.noise**2, rel=spread)


def test_the_plain_loop_records_the_distance() -> None:
    """At steps 0, 2 and 4, by the package's own measure."""
    of, start = single_precision()
    loop = PlainLoop(of, start.features[:, 0], start.head[:, 0], N, one_seed=False)
    first, *others = loop.train("kfac", 0.3, steps=4, every=2)
    assert_close(
        first, subspace_distance(orthonormal_rows(start.features), of.features)[:, 0], 1e-5
    )
    assert len(others) == 2 and (others[-1] < first).all()


class FakeClock:
    """A clock that moves only when something says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, *seconds: float):
        """A work that takes the given times in turn, then the last for ever."""
        calls = count()

        def run() -> None:
            self.now += seconds[min(next(calls), len(seconds) - 1)]

        return run


def test_rounds_are_interleaved_and_timed_apart() -> None:
    """Calls before the first round are not counted, and each round starts one work further on."""
    clock, order = FakeClock(), []

    def traced(name: str, *seconds: float):
        work = clock.work(*seconds)
        return lambda: (order.append(name), work())

    works = {"a": traced("a", 50.0, 2.0, 3.0), "b": traced("b", 7.0)}
    seconds = interleaved(works, rounds=3, least=1.0, clock=clock)
    assert seconds["a"].tolist() == [2.0, 3.0, 3.0] and seconds["b"].tolist() == [7.0] * 3
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"]


def test_a_short_work_is_repeated() -> None:
    """A cold call of 0.1 s and a warm one of 0.125 s come first; 8 calls then make a second."""
    clock = FakeClock()
    calls = []
    work = clock.work(0.1, 0.125)
    seconds = interleaved({"a": lambda: (calls.append(1), work())}, 2, 1.0, clock)
    assert seconds["a"].tolist() == [0.125] * 2 and len(calls) == 2 + 2 * 8


def test_spread_is_median_and_quartiles() -> None:
    assert Spread.of(np.array([5.0, 1.0, 4.0, 2.0, 3.0])) == (3.0, 2.0, 4.0)


@pytest.mark.parametrize("d, r", [(6, 6), (6, 4), (1, 1)])
def test_triangular_shares_count_what_is_not_zero(d: int, r: int) -> None:
    """Against products of the entries' patterns, multiplication by multiplication."""
    x = np.tril(np.ones((d, r)))
    triangle, full = np.tril(np.ones((d, d))), np.ones((3, d))
    symmetric = np.tril(x @ x.T).sum()  # the upper half is a copy
    expected = ((triangle @ x).sum() / (d * d * r), symmetric / (d * d * r),
                (full @ x).sum() / (3 * d * r))  # fmt: skip
    assert floor.triangular_shares(d, r) == pytest.approx(expected)


def test_a_part_of_the_runs_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every contender takes a second, a step of all runs is that by its steps, as often as its
    runs go into all of them."""
    monkeypatch.setattr(
        engines, "interleaved", lambda works, *rest: {key: np.ones(QUICK.rounds) for key in works}
    )
    table = engines.measure(QUICK, 1, "cpu")
    own = table[table["method"] == "sgd"].set_index(["engine", "dtype", "unit"])["median"]
    seeds, lrs = 2, len(configured(QUICK, "sgd").method.lr)
    assert own["plain", "float32", "s"] == seeds * lrs / QUICK.steps
    assert own["plain, batched over seeds", "float32", "s"] == lrs / QUICK.raw_steps
    assert own["batches", "float64", "s"] == 1 / QUICK.raw_steps
    assert own["moments", "float64", "1"] == seeds * lrs


def test_the_figures_plain_loops_are_parts_that_stand_for_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where everything timed takes a second: a plain run of some steps is that by its steps, as often as
    there are runs and steps; the package is timed whole."""
    monkeypatch.setattr(
        end_to_end, "interleaved", lambda works, *rest: {key: np.ones(2) for key in works}
    )
    table = end_to_end.measure(QUICK, 1, "cpu").set_index(["engine", "unit"])
    cells = end_to_end.figure_cells(QUICK, "cpu")
    assert {cell.settings.method.name for cell in cells} == set(METHODS)
    counts = [(memory.runs(cell.settings), cell.settings.steps) for cell in cells]
    steps = sum(runs * steps for runs, steps in counts)
    assert table.loc[("plain", "s"), "median"] == steps / QUICK.steps
    seeds = len(cells[0].settings.seeds)
    batched = steps / (QUICK.raw_steps * seeds)
    assert table.loc[("plain, batched over seeds", "s"), "median"] == pytest.approx(batched)
    assert table.loc[("this package", "s"), "median"] == 1
    assert table.loc[("this package", "1"), "median"] == steps / QUICK.steps
    assert table["extrapolated"].groupby("engine").first().to_dict() == {
        "plain": True, "plain, batched over seeds": True, "this package": False,
    }  # fmt: skip


def test_the_figures_runs_are_counted_as_they_are_run() -> None:
    """What is tried on the tuning seeds, and one choice on the reporting seeds, as the tables have them."""
    cell = end_to_end.figure_cells(QUICK, "cpu")[0]
    runs = run_table(cell.settings).groupby(["stage", "damping", "lr", "seed"]).ngroups
    assert runs == memory.runs(cell.settings)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a quick run of the script wrote its results and figures."""
    folder = tmp_path_factory.mktemp("bench")
    script = Path(__file__).parents[2] / "scripts" / "bench.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), "--quick", "--out", str(folder)])
        runpy.run_path(str(script), run_name="__main__")
    return folder


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_have_their_columns(written: Path, name: str) -> None:
    table = pd.read_csv(written / "results" / "quick" / "benchmarks" / f"{name}.csv")
    assert set(table.columns) == set(COLUMNS[name])
    methods = table["method"] if "method" in table else table["methods"].iloc[0].split(", ")
    assert set(methods) == set(METHODS_OF.get(name, METHODS))
    assert (table["median"] > 0).all()
    assert table["low"].le(table["median"]).all() and table["median"].le(table["high"]).all()
    units = table.groupby("quantity")["unit"].unique()
    assert all(list(unit) == ["s" if "/" not in quantity and "speed" not in quantity else "1"]
               for quantity, unit in units.items())  # fmt: skip


def test_each_contender_and_size_has_a_line(written: Path) -> None:
    folder = written / "results" / "quick" / "benchmarks"
    loops, scaling = (pd.read_csv(folder / f"{name}.csv") for name in ("engines", "scaling"))
    assert loops.groupby("method").size().to_dict() == dict.fromkeys(METHODS, 6 * 2)
    plain_loop = loops[(loops["engine"] == "plain") & (loops["unit"] == "1")]
    assert (plain_loop["median"] == 1.0).all()
    assert scaling.groupby("axis").size().to_dict() == dict.fromkeys(QUICK.axes, 2 * 2)
    own = scaling[scaling["axis"] == "n"].set_index("value")["relative"]
    assert own.loc[16].tolist() == [0.25] * 2  # of 64


def test_the_floor_is_the_sum_of_a_methods_operations(written: Path) -> None:
    """With two rounds medians are means, and add up."""
    table = pd.read_csv(written / "results" / "quick" / "benchmarks" / "floor.csv")
    for (_, dtype), own in table.groupby(["method", "dtype"]):
        operations = own[own["quantity"] == "operation"]
        (total,) = own.loc[own["quantity"] == "floor", "median"]
        assert (operations["median"] * operations["times"]).sum() == pytest.approx(total), dtype
        assert operations["share"].between(0, 1, inclusive="right").all()


def test_a_step_of_one_run_is_timed_at_each_dimension(written: Path) -> None:
    table = pd.read_csv(written / "results/quick/benchmarks/second_order.csv")
    sizes = table.groupby("method")["value"].agg(list).to_dict()
    assert sizes == dict.fromkeys(SECOND_ORDER, list(QUICK.dense_d_x))


def test_the_figures_and_the_machine_are_written(written: Path) -> None:
    figures = written / "figures" / "quick"
    expected = {
        f"{figure}.{kind}"
        for figure in ("benchmark", "step_time")
        for kind in ("csv", "pdf", "png")
    }
    assert {path.name for path in figures.iterdir()} == expected
    machine = json.loads((written / "results/quick/benchmarks/machine.json").read_text())
    # A package's version may lack the build's part, as 2.13.0 for 2.13.0+cu130.
    assert torch.__version__.split("+")[0] == machine["versions"]["torch"].split("+")[0]
    assert machine["gpu"] is None


def test_computing_is_summed_over_records(tmp_path: Path) -> None:
    """Two runs of an experiment with three cells."""
    runs = tmp_path / "results" / "quick" / "some" / "runs"
    runs.mkdir(parents=True)
    for name, cells in (("sgd-0", [1.5, 2.0]), ("kfac-0", [4.0])):
        record = {"cells": [{"wall_seconds": taken} for taken in cells]}
        (runs / f"{name}.parquet.json").write_text(json.dumps(record))
    assert pipeline.computing_seconds(tmp_path) == 7.5


@pytest.mark.slow
def test_the_pipeline_is_timed_in_a_copy() -> None:
    """One experiment: jobs compute for a part of their time, and a second run has nothing to do."""
    table = pipeline.measure(1, ["experiments=[contraction]"])
    alone = table[table["cores"] == 1].set_index("quantity")["median"]
    assert 0 < alone["computing in the simulate jobs"] < alone["pipeline"]
    assert 0 < alone["nothing to do"] < alone["pipeline"]
    assert set(table["cores"]) == {1, 2}
