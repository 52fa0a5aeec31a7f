"""Write the report's page of what was run, from the records beside the run tables."""

import argparse
from pathlib import Path

from layerwise.results.files import atomic_path
from layerwise.results.job_log import job_log
from layerwise.results.pages import runs_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log), atomic_path(arguments.out) as temporary:
        temporary.write_text(runs_page(arguments.records))


if __name__ == "__main__":
    main()
