"""KFAC on two data-parallel workers (gloo) against one that has the whole batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from checkout import environment
from helpers import assert_close
from layerwise.optim import KFAC
from optim_problems import batch, deep_net, parameters_of, take_step
from optim_worker import STEPS, WORKERS

pytestmark = pytest.mark.processes
WORKER = Path(__file__).parents[1] / "optim_worker.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the workers return, in order of rank: a dictionary by case."""
    folder = tmp_path_factory.mktemp("workers")
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(folder / "meet"), str(folder / "out")],
            env=environment() | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(WORKERS)
    ]
    for worker in workers:
        _, said = worker.communicate(timeout=120)
        assert worker.returncode == 0, said
    return [torch.load(folder / f"out.{rank}") for rank in range(WORKERS)]


@pytest.mark.parametrize("case", ["gauss_newton", "empirical", "views"])
def test_workers_take_the_steps_of_one(case, results):
    """Also where gradients are views of the buckets that are reduced."""
    model = deep_net()
    kind = "gauss_newton" if case == "views" else case
    optimizer = KFAC(model, 0.1, precondition_outputs=kind, factor_decay=0.5)
    for t in range(STEPS):
        take_step(model, optimizer, batch(t))
    for weights in (result[case] for result in results):
        for a, b in zip(weights, parameters_of(model), strict=True):
            assert_close(a, b)


@pytest.mark.parametrize(
    "case, sentences",
    [
        ("no group", ["torch.distributed has 2 workers: give KFAC the process_group"] * 2),
        (
            "one refuses",
            ["KFAC refuses this step on another worker", "Layer '2' has a gradient, but"],
        ),
        ("one has none", ["A layer has a gradient on some workers and not on others"] * 2),
    ],
)
def test_a_step_is_refused_by_all_workers_or_none(case, sentences, results):
    """A worker that went on alone would wait for the others for ever."""
    for (said, moved), sentence in zip(
        (result[case] for result in results), sentences, strict=True
    ):
        assert said.startswith(sentence)
        assert not moved
