"""Draw a figure from an experiment's reduced tables: PDF, PNG, and the drawn table as CSV."""

import argparse
import gc
import json
from pathlib import Path

from layerwise.figures import render
from layerwise.results.job_log import job_log
from layerwise.results.tables import read_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", help="a module of layerwise.figures")
    parser.add_argument("--tables", required=True, nargs="+", type=Path)
    parser.add_argument("--labels", required=True, help="JSON: method name to label")
    parser.add_argument("--out", required=True, type=Path, help="the PDF; the others lie beside it")
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    gc.disable()  # looking for garbage took a fifth of a figure's second
    with job_log(arguments.log):
        work(arguments)


def work(arguments: argparse.Namespace) -> None:
    tables = {path.stem: read_table(path) for path in arguments.tables}
    render(arguments.figure, tables, json.loads(arguments.labels), arguments.out)


if __name__ == "__main__":
    main()
