"""Several at once: commands in one checkout, its lock, and plans of thousands of cells."""

import json
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest

from checkout import NO_PAGE, TINY, Checkout, layerwise, start, wait_for

pytestmark = pytest.mark.processes
# A run that goes on until it is stopped: its job waits, and leaves the processor to the others.
LONG = (
    "reproduce", "contraction", "--scale", "quick", "experiment.methods=[kfac]", "steps=100000",
    "record_every=100000", *(word for word in TINY if not word.startswith("steps")),
)  # fmt: skip
WAITS = """        if job[0]["settings"]["steps"] == 100000:
            __import__("signal").pause()
        run_job("""
# Runs a command and says its processor's seconds and its peak memory. Started by the tests themselves, it
# would begin with theirs.
PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""
SHORT = ("reproduce", "contraction", "--scale", "quick", "seeds=1", "steps=5", "task.d_x=8")


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def at_work(checkout: Checkout) -> subprocess.Popen[str]:
    """A long run that has started its simulation."""
    checkout.edit("scripts/simulate.py", "        run_job(", WAITS)
    process = start(checkout, *LONG)
    folder = re.search(r"results/[\w-]+", process.stdout.readline())[0]
    wait_for(checkout.folder / folder / "contraction/logs/kfac-0.log", process)
    return process


def snakemake_of(process: subprocess.Popen[str]) -> psutil.Process:
    (child,) = psutil.Process(process.pid).children()
    return child


def test_who_is_at_work_is_told_and_disturbed_by_nobody(checkout):
    """A second call of the same changes nothing, and leaves the first alone; several explain at once, and
    say the same; other overrides have other files and may run."""
    first = at_work(checkout)
    pid = snakemake_of(first).pid
    asking = [start(checkout, "explain", *SHORT[1:], quickly=True) for _ in range(4)]
    said = layerwise(checkout, *LONG, code=1)
    assert f"error: process {pid} makes results in this folder" in said
    (answer,) = {process.communicate()[0] for process in asking}
    assert {process.returncode for process in asking} == {0}
    assert "4 cells, 12 runs" in answer and "Due: " in answer
    assert first.poll() is None
    layerwise(checkout, *SHORT, "--", *NO_PAGE)
    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=60)
    assert not list(checkout.folder.glob(".snakemake/locks/*"))


def test_a_killed_runs_lock_is_explained_with_the_command_that_removes_it(checkout):
    process = at_work(checkout)
    scheduler = snakemake_of(process)
    killed = [scheduler, *scheduler.children(recursive=True)]
    for one in killed:
        one.kill()
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and "remove it with `layerwise reproduce -- --unlock`" in said
    said = layerwise(checkout, *LONG, code=1)
    assert "error: a run that was killed has left Snakemake's lock" in said
    layerwise(checkout, "reproduce", "--", "--unlock")
    assert "This was a dry-run" in layerwise(checkout, *LONG, "--", "--dry-run")


LARGE = {
    "20,000 cells": (
        "contraction",
        "task.kappa_x",
        10_000,
        ["experiment.methods=[sgd,kfac]"],
        1250,
    ),
    "300 problems at 1000 seeds": ("condition_study", "task.kappa_x", 300, ["seeds=1000"], 300),
}


@pytest.mark.parametrize(
    ("experiment", "key", "values", "more", "jobs"), LARGE.values(), ids=LARGE.keys()
)
def test_large_grids_are_planned_in_seconds_and_a_gigabyte(
    checkout, experiment, key, values, more, jobs
):
    """Every job is planned in 15 seconds of a processor, by the system's own account, and starts by a
    command of a few words."""
    grid = ",".join(str(1 + i) for i in range(values))
    asked = {
        "experiments": [experiment],
        "overrides": [f"{key}=[{grid}]", "task.kappa_f=[1]", *more],
    }
    (checkout.folder / "large.json").write_text(json.dumps(asked))
    words = ["--dry-run", "--printshellcmds", "--configfile", "large.json"]
    environment = os.environ | {"PYTHONPATH": str(checkout.folder / "src")}
    planned = subprocess.run(
        [sys.executable, "-c", PEAK, sys.executable, "-m", "snakemake", *words],
        cwd=checkout.folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr[-2000:]
    said = planned.stdout + planned.stderr
    assert re.search(rf"simulate +{jobs}\n", said)
    commands = re.findall(r"python -I -S scripts/start\.py .*", said)
    assert len(commands) > jobs and max(map(len, commands)) < 2000
    seconds, peak = map(float, planned.stdout.splitlines()[-1].split())
    scale = 1 if sys.platform == "darwin" else 1024  # bytes, or kilobytes
    assert seconds < 15 and peak * scale < 2**30
