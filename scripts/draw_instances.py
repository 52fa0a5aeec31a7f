"""Draw the problem instances of one cell for all its seeds."""

import argparse
import json
from pathlib import Path

from layerwise.instances import draw
from layerwise.jobs import job_log
from layerwise.settings import LinearProblem, validate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--problem", required=True, help="canonical JSON: the problem and its seeds"
    )
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        work(arguments)


def work(arguments: argparse.Namespace) -> None:
    problem = json.loads(arguments.problem)
    seeds = problem.pop("seeds")
    draw(validate(LinearProblem, problem), seeds).save(arguments.out)


if __name__ == "__main__":
    main()
