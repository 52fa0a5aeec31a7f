"""Draw instances that jobs of an experiment share, for all seeds."""

import argparse
from pathlib import Path

from layerwise.data.instances import draw, key, save
from layerwise.results.files import read_planned
from layerwise.results.job_log import job_log
from layerwise.settings.tasks.linear_representation import LinearProblem
from layerwise.settings.validation import validate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--problems", required=True, type=Path, help="JSON: a list of problems with their seeds"
    )
    parser.add_argument("--digest", help="of the list that is meant: another one is refused")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", type=Path, help="else the error stream")
    arguments = parser.parse_args()
    with job_log(arguments.log):
        work(arguments)


def work(arguments: argparse.Namespace) -> None:
    drawn = {}
    for content in read_planned(arguments.problems, arguments.digest):
        seeds = content.pop("seeds")
        problem = validate(LinearProblem, content)
        drawn[key(problem.instance(seeds))] = draw(problem, seeds)
    save(drawn, arguments.out)


if __name__ == "__main__":
    main()
