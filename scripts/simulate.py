"""Run one cell of an experiment: a method on a problem, all seeds, step sizes and damping values."""

import argparse
import json
from pathlib import Path

from layerwise.jobs import job_log
from layerwise.run import run_cell
from layerwise.settings import run_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", required=True, help="canonical JSON of the run's settings")
    parser.add_argument("--instances", nargs="?", type=Path, help="none for a task without a file")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        work(arguments)


def work(arguments: argparse.Namespace) -> None:
    run_cell(run_settings(json.loads(arguments.cell)), arguments.instances, arguments.out)


if __name__ == "__main__":
    main()
