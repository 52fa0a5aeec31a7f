"""Write the report's page of what was run, from the records beside the tables of plans: those of this
call, and those that the folder has of earlier ones."""

import argparse
from pathlib import Path

from layerwise.results.files import atomic_path
from layerwise.results.job_log import job_log
from layerwise.results.pages import records_of, runs_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plans", nargs="+", type=Path, help="RESULTS/EXPERIMENT/plan.json")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", type=Path, help="else the error stream")
    arguments = parser.parse_args()
    with job_log(arguments.log), atomic_path(arguments.out) as temporary:
        temporary.write_text(runs_page(records_of(arguments.plans)), encoding="utf-8")


if __name__ == "__main__":
    main()
