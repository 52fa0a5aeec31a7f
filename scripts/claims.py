"""Judge the claims on experiments' reduced tables: claims.csv, claims.md for readers, and a page."""

import argparse
from pathlib import Path

from layerwise.claims import write
from layerwise.results.job_log import job_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--readable", required=True, type=Path)
    parser.add_argument("--report", required=True, type=Path)
    parser.add_argument("--note", default="", help="on what was run, for readers")
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        write(arguments.tables, arguments.csv, arguments.readable, arguments.report, arguments.note)


if __name__ == "__main__":
    main()
