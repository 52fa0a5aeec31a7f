"""Put what the README shows in its place: the exponents, the claims' summary, and small pictures."""

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from layerwise.claims import summary
from layerwise.figures import style
from layerwise.results.files import atomic_path

COLOURS = 256  # of a picture's palette: a third of the size, and the methods keep their colours
WINDOW = "1300,1000"
BROWSERS = ("chromium", "google-chrome")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--claims", required=True, type=Path, help="claims.csv")
    parser.add_argument("--exponents", required=True, type=Path, help="what that figure drew")
    parser.add_argument("--about", required=True, type=Path, help="about.json")
    parser.add_argument("--page", required=True, type=Path, help="page.html")
    parser.add_argument("--readme", required=True, type=Path)
    arguments = parser.parse_args()
    for picture in arguments.pictures:
        put(picture, arguments.folder)
    photograph(arguments.page, arguments.folder)
    readme = arguments.readme.read_text(encoding="utf-8")
    readme = filled(readme, "claims", summary(pd.read_csv(arguments.claims)))
    about = json.loads(arguments.about.read_text(encoding="utf-8"))
    exponents = pd.read_csv(arguments.exponents)
    readme = filled(readme, "exponents", table_of(exponents, about["labels"]))
    captions = described(about)
    shown = []
    for picture in arguments.pictures:
        question, caption = captions[picture.stem]
        shown.append(f"![{question}]({arguments.folder / picture.name})\n\n*{caption}*\n")
    readme = filled(readme, "gallery", "\n".join(shown))
    with atomic_path(arguments.readme) as temporary:
        temporary.write_text(readme, encoding="utf-8")


def put(picture: Path, folder: Path) -> None:
    """A copy of few colours."""
    with Image.open(picture) as image, atomic_path(folder / picture.name) as temporary:
        image.convert("RGB").quantize(COLOURS).save(temporary, optimize=True)


def photograph(page: Path, folder: Path) -> None:
    """The page's first screen, where there is a browser; else its last picture stays."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"No browser: {folder / 'page.png'} stays as it is.")
        return
    with TemporaryDirectory() as scratch:
        taken = Path(scratch, "page.png")
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--window-size={WINDOW}", "--virtual-time-budget=5000", f"--screenshot={taken}",
            page.resolve().as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        put(taken, folder)


def table_of(exponents: pd.DataFrame, labels: dict[str, str]) -> str:
    """The methods' exponents with their intervals, in Markdown."""
    rows = {
        (row["along"], row["method"]): "{exponent:.2f} [{low:.2f}, {high:.2f}]".format(**row)
        if np.isfinite(row["exponent"])
        else "not reached"
        for row in exponents.to_dict("records")
    }
    lines = ["| | exponent in κ_x | exponent in κ_F |", "|---|---|---|"]
    for method in style.ordered(exponents["method"].unique()):
        lines.append(
            f"| {labels[method]} | {rows['kappa_x', method]} | {rows['kappa_f', method]} |"
        )
    return "\n".join(lines) + "\n"


def described(about: dict) -> dict[str, tuple[str, str]]:
    """What each figure asks, and its caption, from the configuration of its experiment."""
    return {
        figure: (said["question"].rstrip("."), f"{said['question']} {said['caption']}")
        for said in about["experiments"].values()
        for figure in said["figures"]
    }


def filled(text: str, name: str, content: str) -> str:
    """Markdown with a part of it made anew: what stands between its two comments."""
    start, end = f"<!-- {name}: made by `make gallery` -->\n", f"<!-- end of {name} -->\n"
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    main()
