"""The work of an experiment, counted: decompositions, measurements and processes; draws are in
test_together.py. A timing shakes with the machine; these counts do not."""

import json
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import Stepper, population, quick_plan, random_batch, random_weights, small_settings
from layerwise.data.moments import Moments
from layerwise.metrics import linear
from layerwise.planning.compose import options
from layerwise.planning.jobs import Job
from layerwise.planning.plan import CELLS_PER_JOB, plan
from layerwise.settings.alike import drawn_alike
from layerwise.tasks.loop import record_steps
from layerwise.tasks.run import run_job

DECOMPOSITIONS = {
    "linalg_cholesky_ex": "cholesky", "_linalg_eigh": "eigh", "linalg_qr": "qr",
    "_linalg_svd": "svd", "_linalg_solve_ex": "solve",
}  # fmt: skip
# Batched calls a step on the linear network, whatever the number of runs.
OF_A_STEP: dict[str, dict[str, int]] = {
    "sgd": {},
    "adam": {},
    "muon": {},
    "kfac": {"cholesky": 3},  # P_G, Q_G and Q_F
    "kfac_input": {"cholesky": 2},
    "dfw": {"cholesky": 2, "qr": 1},  # Q_G and the refit; orthonormal features
    "amgd": {"cholesky": 1, "qr": 1},
    "spectral": {"eigh": 2, "qr": 2},
    "shampoo": {"eigh": 4},
    "gauss_newton": {"eigh": 2, "qr": 1, "cholesky": 2},
    "newton": {"eigh": 2, "solve": 1},
}


class Decomposed(TorchDispatchMode):
    """Counts decompositions."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = DECOMPOSITIONS.get(str(function.overloadpacket).removeprefix("aten."))
        if name is not None:
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("method", OF_A_STEP)
def test_decompositions_of_a_step(method: str, seeds: tuple[int, ...]) -> None:
    of = population(seeds=seeds)
    lrs = [0.01 * (1 + place) for place in range(len(seeds))]
    settings = small_settings(method, f"method.lr={lrs}").method
    weights = random_weights(of, len(lrs) * max(len(settings.damping), 1))
    stepper = Stepper(settings, of, weights)
    batches = [Moments.of_batch(*random_batch(of, 20, seed=t)) for t in range(stepper.batches)]
    with Decomposed() as decomposed:
        stepper.step(weights, batches)
    assert decomposed.counts == OF_A_STEP[method]


def test_tuning_measures_what_selects_and_reporting_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transfer task is measured at the recorded steps of the selected choice alone."""
    cells = quick_plan("head_to_head").cells
    measured: Counter[str] = Counter()

    def counted(name, function):
        def call(*given):
            measured[name] += 1
            return function(*given)

        return call

    for table in (linear.METRICS, linear.TRANSFER_METRICS):
        for name, function in list(table.items()):
            monkeypatch.setitem(table, name, counted(name, function))
    run_job(json.loads(Job(cells).content), None, tmp_path / "runs.parquet")
    first = cells[0].settings
    records = len(record_steps(first.steps, first.record_every))
    task = first.task
    expected = {name: len(cells) * records for name in task.metrics if name in measured}
    expected["subspace_distance"] *= 2  # which selects
    assert measured == expected
    assert {"transfer_loss", "excess_loss"} <= measured.keys()


@pytest.mark.parametrize("name", options("experiment"))
def test_an_experiment_starts_a_process_for_some_problems_with_all_methods(name: str) -> None:
    """Those in a row that are drawn alike are one unit, and as many units a job as it has room for."""
    planned = plan(name, "paper")
    methods = len(planned.experiment.methods)
    assert methods <= CELLS_PER_JOB
    draws = {cell.problem: drawn_alike(cell.settings) for cell in planned.cells}
    units = [methods * len(list(alike)) for _, alike in groupby(draws.values())]
    jobs, room = 0, 0
    for cells in units:
        if cells > room:
            jobs, room = jobs + 1, max(CELLS_PER_JOB, cells)
        room -= cells
    assert len(planned.jobs()) == jobs
