"""Write the report's page of what was run, from the records beside the tables of plans: those of this
call, and those that the folder has of earlier ones."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from layerwise.results.files import FileError, atomic_path, read_planned, read_record
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
        temporary.write_text(runs_page(records(arguments.plans)))


def records(plans: list[Path]) -> Iterator[Path]:
    """The record of each run of the plans, and of those of the other experiments in their folder, as far
    as these were run: a call for one experiment keeps the others on the page."""
    for plan in sorted(plans[0].parents[1].glob("*/plan.json")):
        found = [record_of(Path(job["table"])) for job in read_planned(plan, None)["jobs"]]
        yield from found if plan in plans else filter(_is_whole, found)


def _is_whole(record: Path) -> bool:
    """Whether a record of another call's can be read: one that cannot is no reason to fail this one."""
    try:
        read_record(record)
    except (OSError, FileError):
        return False
    return True


if __name__ == "__main__":
    main()
