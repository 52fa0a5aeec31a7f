"""What a larger grid of an experiment's problems costs on a cluster, as a Markdown table.

    python scripts/cluster_cost.py condition_study --seconds 5

A grid is `times` the experiment's, with its seeds and step sizes as they are. The seconds a cell takes
are the mean of `wall_seconds` in results/EXPERIMENT/runs/*.json.
"""

import argparse
import math
from itertools import cycle, islice

from layerwise.planning.jobs import Job
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
    planned = plan(experiment, "paper")
    methods = planned.experiment.methods
    problems = times * len(planned.cells) // len(methods)
    together = max(1, cells_per_job // len(methods))  # problems of a job, which runs all methods
    jobs = math.ceil(problems / together)
    cells = problems * len(methods)
    core_hours = (cells * seconds + jobs * (START_SECONDS + 2 * PLANNING_SECONDS * cells)) / 3600
    size = len(methods) * min(together, problems)
    largest = [
        Job(tuple(islice(cycle(job.cells), size))) for job in planned.jobs(cells_per_job).values()
    ]
    memory, reduction = max(map(simulate_mb, largest)), reduce_mb(largest)
    return (
        f"| {times}× | {cells} | {jobs} | {core_hours:.3g} | {core_hours / min(jobs, AT_ONCE):.2g}"
        f" | {memory / 1000:.1f} GB | {reduction / 1000:.3g} GB |"
    )


if __name__ == "__main__":
    main()
