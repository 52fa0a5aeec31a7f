"""Runs killed at random moments: the next call finishes, with the tables of an uninterrupted run."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from checkout import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.processes]
RNG = random.Random(0)
# A round for each: a signal, whom it meets, and when, as a fraction of an uninterrupted run's time.
ROUNDS = [
    (number, target, round(RNG.uniform(0.1, 0.95), 2))
    for number, times in ((signal.SIGKILL, 7), (signal.SIGTERM, 2), (signal.SIGINT, 2))
    for target in ("scheduler", "job", "group") * times
]


def clear(checkout: Checkout) -> None:
    """As it was before any run."""
    for name in ("results", "figures", ".snakemake"):
        shutil.rmtree(checkout.folder / name, ignore_errors=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory):
    """A checkout, the tables of a whole run in it, and the seconds that it took."""
    checkout = Checkout(tmp_path_factory.mktemp("kill"))
    start = time.monotonic()
    done = checkout.small()
    assert done.returncode == 0, done.stderr
    return checkout, checkout.tables(), time.monotonic() - start


def meet(process: subprocess.Popen, target: str, number: int) -> None:
    """Send a signal to the scheduler alone, to the programs that it runs (to it if it runs none), or to
    both: the whole group, as a terminal does."""
    if target == "group":
        os.killpg(process.pid, number)
        return
    jobs = psutil.Process(process.pid).children(recursive=True) if target == "job" else []
    for met in jobs or [process]:
        with suppress(psutil.NoSuchProcess):  # it has ended in the meantime
            met.send_signal(number)


@pytest.mark.parametrize(("number", "target", "moment"), ROUNDS)
def test_the_call_after_a_kill_finishes(uninterrupted, number, target, moment):
    checkout, expected, seconds = uninterrupted
    clear(checkout)
    path = Path(sys.executable).parent
    environment = os.environ | {
        "PYTHONPATH": str(checkout.folder / "src"),
        "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "small.yaml"]
    process = subprocess.Popen(
        command, cwd=checkout.folder, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(moment * seconds)
    if process.poll() is None:
        meet(process, target, number)
    process.wait()

    again = checkout.small()
    if "--unlock" in again.stderr:
        assert checkout.small("--unlock").returncode == 0
        again = checkout.small()
    assert again.returncode == 0, again.stderr
    found = checkout.tables()
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True)
