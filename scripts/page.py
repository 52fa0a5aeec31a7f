"""Write the page of a folder of results, and beside the tables what the page says of them."""

import argparse
import json
from pathlib import Path

from layerwise.page.document import write
from layerwise.page.folder import ABOUT, folder_of
from layerwise.results.files import write_json
from layerwise.results.job_log import job_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="the folder of the reduced tables")
    parser.add_argument("--about", required=True, help="JSON: the words of the configuration")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    with job_log(arguments.log):
        write_json(json.loads(arguments.about), arguments.results / ABOUT)
        write([folder_of(arguments.results)], arguments.out)


if __name__ == "__main__":
    main()
