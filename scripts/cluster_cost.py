"""What a larger grid of an experiment's problems costs on a cluster, as a Markdown table.

    python scripts/cluster_cost.py condition_study --seconds 5

A grid is `times` the experiment's, with its seeds and step sizes as they are. The seconds a cell takes
are the mean of `cpu_seconds` in results/EXPERIMENT/runs/*.json.
"""

import argparse
from dataclasses import replace

from layerwise.planning.plan import plan
from layerwise.planning.resources import reduce_mb, simulate_mb

START_SECONDS = 8  # of a cluster's job: two Snakemakes and torch; measured
PLANNING_SECONDS = 1.6e-4  # a cell, in each Snakemake: a job plans the whole grid; measured
AT_ONCE = 100  # jobs, as in workflow/profiles/slurm


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment")
    parser.add_argument("--seconds", required=True, type=float, help="of a cell, on one core")
    parser.add_argument("--cells-per-job", default=16, type=int)
    parser.add_argument("--times", default=[1, 10, 100, 1000], type=int, nargs="+")
    arguments = parser.parse_args()
    print("| grid | cells | jobs | core hours | hours, 100 jobs at once | job | reduction |")
    print("|---|---|---|---|---|---|---|")
    for times in arguments.times:
        print(row(arguments.experiment, times, arguments.seconds, arguments.cells_per_job))


def row(experiment: str, times: int, seconds: float, cells_per_job: int) -> str:
    """The line of a grid of ``times`` as many problems."""
    today = plan(experiment, "paper")
    cells = tuple(
        replace(cell, problem=f"{cell.problem} {copy}")
        for copy in range(times)
        for cell in today.cells
    )
    jobs = replace(today, cells=cells).jobs(cells_per_job).values()
    starts = len(jobs) * (START_SECONDS + 2 * PLANNING_SECONDS * len(cells))
    core_hours = (len(cells) * seconds + starts) / 3600
    memory, reduction = max(map(simulate_mb, jobs)), reduce_mb(jobs)
    return (
        f"| {times}× | {len(cells)} | {len(jobs)} | {core_hours:.3g} | "
        f"{core_hours / min(len(jobs), AT_ONCE):.2g} | {memory / 1000:.1f} GB | "
        f"{reduction / 1000:.3g} GB |"
    )


if __name__ == "__main__":
    main()
