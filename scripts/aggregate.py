"""Reduce an experiment's run tables to summary, scores, selection and traces."""

import argparse
import json
import sys
from pathlib import Path

from layerwise.results.aggregate import aggregate, collect
from layerwise.results.job_log import job_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--how", required=True, help="JSON: select_by and target")
    parser.add_argument("--out", required=True, type=Path, help="folder of the reduced tables")
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        work(arguments)


def work(arguments: argparse.Namespace) -> None:
    how = json.loads(arguments.how)
    if how["select_by"] == "nothing":
        collect(arguments.tables, arguments.out)
        return
    warnings = aggregate(arguments.tables, how["select_by"], how["target"], arguments.out)
    if warnings:
        print("\n".join(warnings), file=sys.stderr)
        print(
            f"warning: {len(warnings)} selections in {arguments.out}/selection.csv are at the edge of "
            "their grid"
        )


if __name__ == "__main__":
    main()
