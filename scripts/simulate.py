"""Run a job: methods on some of an experiment's problems, with all seeds, step sizes and damping values.

By hand, any job of the pipeline again, on instances that it draws itself:

    python scripts/simulate.py --job results/contraction/jobs/kfac-0.json --out again.parquet
"""

import argparse
from pathlib import Path

from layerwise.results.files import read_planned
from layerwise.results.job_log import job_log
from layerwise.tasks.run import run_job


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--job", required=True, type=Path, help="JSON of its settings and problems")
    parser.add_argument("--digest", help="of the job that is meant: another one is refused")
    parser.add_argument(
        "--instances", nargs="?", type=Path, help="a file; else drawn here, the same"
    )
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", type=Path, help="else the error stream")
    arguments = parser.parse_args()
    with job_log(arguments.log):
        job = read_planned(arguments.job, arguments.digest)
        run_job(job, arguments.instances, arguments.out)


if __name__ == "__main__":
    main()
