"""Draw the instances of an experiment's problems, for all its seeds and shared by all its methods."""

import argparse
import json
from pathlib import Path

from layerwise.data.instances import draw, key, save
from layerwise.results.job_log import job_log
from layerwise.settings.tasks.linear_representation import LinearProblem
from layerwise.settings.validation import validate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--problems", required=True, help="canonical JSON: a list of problems with their seeds"
    )
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        work(arguments)


def work(arguments: argparse.Namespace) -> None:
    drawn = {}
    for content in json.loads(arguments.problems):
        seeds = content.pop("seeds")
        problem = validate(LinearProblem, content)
        drawn[key(problem.instance(seeds))] = draw(problem, seeds)
    save(drawn, arguments.out)


if __name__ == "__main__":
    main()
