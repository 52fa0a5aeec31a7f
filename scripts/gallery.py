"""Put what the README shows in its place: small copies of pictures, and the summary of the claims."""

import argparse
from pathlib import Path

import pandas as pd
from PIL import Image

from layerwise.claims import summary
from layerwise.results.files import atomic_path

START, END = "<!-- claims: made by `make gallery` -->\n", "<!-- end of claims -->\n"
COLOURS = 256  # of a picture's palette: a third of the size, and the methods keep their colours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--claims", required=True, type=Path, help="claims.csv")
    parser.add_argument("--readme", required=True, type=Path)
    arguments = parser.parse_args()
    for picture in arguments.pictures:
        with (
            Image.open(picture) as image,
            atomic_path(arguments.folder / picture.name) as temporary,
        ):
            image.convert("RGB").quantize(COLOURS).save(temporary, optimize=True)
    before, rest = arguments.readme.read_text().split(START)
    after = rest.split(END)[1]
    with atomic_path(arguments.readme) as temporary:
        text = summary(pd.read_csv(arguments.claims))
        temporary.write_text(f"{before}{START}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
