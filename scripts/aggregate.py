"""Reduce an experiment's run tables to summary, scores, selection and traces."""

import argparse
import json
import sys
from pathlib import Path

from layerwise.aggregate import aggregate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--how", required=True, help="JSON: cells, select_by and target")
    parser.add_argument("--out", required=True, type=Path, help="folder of the reduced tables")
    parser.add_argument("tables", nargs="+", type=Path)
    arguments = parser.parse_args()
    how = json.loads(arguments.how)
    warnings = aggregate(
        arguments.tables, how["cells"], how["select_by"], how["target"], arguments.out
    )
    print("\n".join(warnings), file=sys.stderr)


if __name__ == "__main__":
    main()
