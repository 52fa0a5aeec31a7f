"""The Slurm profile without a Slurm: what jobs ask for, what shares a job, what a larger grid costs."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from checkout import ROOT, Checkout, environment
from layerwise.planning.plan import plan
from layerwise.planning.resources import MATRICES, ROW_BYTES, START_MB, simulate_mb
from layerwise.tasks.loop import record_steps

# A job's name, and what it asks for, as Snakemake prints them.
JOB = re.compile(r"^ *(?:local)?rule (\w+):$.*?^ *resources: (.*?)$", re.MULTILINE | re.DOTALL)


class ClusterCheckout(Checkout):
    """A copy that is run with the Slurm profile's settings, but on this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
        # Without default-resources a rule that asks for nothing shows.
        ours = {
            key: value
            for key, value in profile.items()
            if not key.startswith("slurm-") and key not in ("executor", "default-resources")
        }
        (self.folder / "profile.yaml").write_text(yaml.safe_dump(ours))

    def said(self, *arguments: str) -> str:
        """All that Snakemake says."""
        done = self.run("--profile", "profile.yaml", *arguments)
        return done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> ClusterCheckout:
    return ClusterCheckout(tmp_path)


def asked(output: str) -> list[tuple[str, int, int]]:
    """Rule, memory in MB and minutes of each job; 0 where it asks for none."""

    def number(key: str, text: str) -> int:
        return int((re.findall(rf"\b{key}=(\d+)", text) or [0])[0])

    return [
        (rule, number("mem_mb", text), number("runtime", text))
        for rule, text in JOB.findall(output)
    ]


@pytest.mark.processes
def test_jobs_ask_for_memory_and_time_and_small_ones_share(checkout: ClusterCheckout) -> None:
    output = checkout.said(
        "--dry-run",
        "--config",
        "scale=quick",
        "experiments=[contraction,condition_study,readout_scale]",
    )
    jobs = asked(output)
    for rule in ("instances", "simulate", "aggregate", "collect", "figure"):
        requests = [(memory, minutes) for name, memory, minutes in jobs if name == rule]
        assert requests and all(memory >= 1000 and minutes >= 10 for memory, minutes in requests)
    # One job draws all instances; each experiment is reduced and drawn in one.
    assert [rule for rule, _, _ in jobs].count("instances") == 2
    groups = re.findall(r"Group job (\w+)", output)
    assert sorted(groups) == ["instances", "reduce", "reduce", "reduce"]
    # Snakemake indents the jobs of a group.
    assert not re.search(r"^rule (instances|aggregate|collect|figure):", output, re.MULTILINE)


@pytest.mark.processes
def test_a_failed_job_asks_for_more(checkout: ClusterCheckout) -> None:
    (checkout.folder / "scripts/simulate.py").write_text("raise SystemExit(1)\n")
    output = checkout.said(
        "results/quick/contraction/runs/kfac-0.parquet",
        "--config",
        "scale=quick",
        "experiments=[contraction]",
    )
    tries = [(memory, minutes) for rule, memory, minutes in asked(output) if rule == "simulate"]
    assert tries == [(attempt * tries[0][0], attempt * tries[0][1]) for attempt in (1, 2, 3)]


@pytest.mark.parametrize("every", ["log", 7])
def test_memory_covers_the_tables_and_the_matrices(every: str | int) -> None:
    """Rows as the training loop records them, and matrices, on top of Python and Snakemake."""
    overrides = ["seeds=64", "steps=700", f"record_every={every}", "stop_at=null"]
    job = replace(plan("contraction", "paper", overrides), methods_apart=True).jobs(4)["kfac", 0]
    recorded = len(record_steps(700, every))
    rows = sum(64 * len(cell.settings.method.lr) * recorded for cell in job.cells)
    needed = START_MB + (rows * ROW_BYTES + MATRICES * 64 * 100 * 100 * 8) / 1e6
    assert needed <= simulate_mb(job) + 1 <= 1.1 * needed


@pytest.mark.processes
def test_cost_of_a_larger_grid_counts_what_would_be_planned() -> None:
    """Cells and jobs of ten times the grid, as the plan of that grid has them."""
    command = [
        sys.executable,
        ROOT / "scripts/cluster_cost.py",
        "contraction",
        "--seconds",
        "36",
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    header, _, today, tenfold, *_ = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()
    ]
    assert header[:3] == ["grid", "cells", "jobs"]
    for line, kappas in ((today, 3), (tenfold, 30)):
        values = ",".join(str(1 + i) for i in range(kappas))
        planned = plan("contraction", "paper", [f"task.kappa_x=[{values}]"])
        assert line[1:3] == [str(len(planned.cells)), str(len(planned.jobs(16)))]
        assert float(line[3]) == pytest.approx(len(planned.cells) / 100, rel=0.05)
