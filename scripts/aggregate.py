"""Reduce an experiment's run tables to summary, scores, selection and traces."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerwise.results.aggregate import aggregate, collect
from layerwise.results.files import read_planned
from layerwise.results.job_log import job_log
from layerwise.results.provenance import check_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--plan", required=True, type=Path, help="JSON: the tables, and how they are reduced"
    )
    parser.add_argument("--digest", help="of the plan that is meant: another one is refused")
    parser.add_argument("--out", required=True, type=Path, help="folder of the reduced tables")
    parser.add_argument("--log", type=Path, help="else the error stream")
    arguments = parser.parse_args()
    with job_log(arguments.log):
        work(read_planned(arguments.plan, arguments.digest), arguments.out)


def work(plan: dict[str, Any], out: Path) -> None:
    how = plan["reduction"]
    if how["select_by"] == "nothing":
        collect(checked(plan["jobs"]), out)
        return
    warnings = aggregate(checked(plan["jobs"]), how["select_by"], how["target"], out)
    if warnings:
        print("\n".join(warnings), file=sys.stderr)
        print(
            f"warning: {len(warnings)} selections in {out}/selection.csv are at the edge of their grid"
        )


def checked(jobs: list[dict[str, str]]) -> Iterator[Path]:
    """The tables, each once it is known to be of the planned run."""
    for job in jobs:
        table = Path(job["table"])
        check_run(table, Path(job["file"]), job["digest"])
        yield table


if __name__ == "__main__":
    main()
