"""Put the summary of the claims table between the README's markers."""

import argparse
from pathlib import Path

import pandas as pd

from layerwise.claims import summary
from layerwise.files import atomic_path

START, END = "<!-- claims: made by `make gallery` -->\n", "<!-- end of claims -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("claims", type=Path, help="claims.csv")
    parser.add_argument("readme", type=Path)
    arguments = parser.parse_args()
    before, rest = arguments.readme.read_text().split(START)
    after = rest.split(END)[1]
    with atomic_path(arguments.readme) as temporary:
        text = summary(pd.read_csv(arguments.claims))
        temporary.write_text(f"{before}{START}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
