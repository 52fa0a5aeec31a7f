"""Write the report's page of what was run, from the records beside the tables of plans."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from layerwise.results.files import atomic_path, read_planned
from layerwise.results.job_log import job_log
from layerwise.results.pages import runs_page
from layerwise.results.provenance import record_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plans", nargs="+", type=Path, help="RESULTS/EXPERIMENT/plan.json")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", type=Path, help="else the error stream")
    arguments = parser.parse_args()
    with job_log(arguments.log), atomic_path(arguments.out) as temporary:
        temporary.write_text(runs_page(records(arguments.plans)), encoding="utf-8")


def records(plans: Iterable[Path]) -> Iterator[Path]:
    """The record of each run of the plans."""
    for plan in plans:
        for job in read_planned(plan, None)["jobs"]:
            yield record_of(Path(job["table"]))


if __name__ == "__main__":
    main()
