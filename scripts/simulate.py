"""Run methods on some of an experiment's problems: all seeds, step sizes and damping values of each."""

import argparse
import json
from pathlib import Path

from layerwise.results.job_log import job_log
from layerwise.tasks.run import run_job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True, help="canonical JSON of settings and problems")
    parser.add_argument("--instances", nargs="?", type=Path, help="none for a task without a file")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        run_job(json.loads(arguments.job), arguments.instances, arguments.out)


if __name__ == "__main__":
    main()
