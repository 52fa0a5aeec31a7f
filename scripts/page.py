"""Write the page of a folder of results."""

import argparse
from pathlib import Path

from layerwise.page.document import write
from layerwise.page.folder import folder_of
from layerwise.results.job_log import job_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="the folder of the reduced tables")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        write([folder_of(arguments.results)], arguments.out)


if __name__ == "__main__":
    main()
