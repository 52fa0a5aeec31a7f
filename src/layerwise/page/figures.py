"""The publication figures in the page: WebP of few colours, a quarter of the bytes of PNG."""

import base64
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from PIL import Image

from layerwise.page.folder import Folder
from layerwise.page.text import escape, spaced, symbols

COLOURS = 256  # of a picture: the methods keep theirs


def figures(folder: Folder) -> str:
    """The view, as HTML."""
    drawn = [
        (path, figure, name, said["question"], caption)
        for name, said in folder.experiments.items()
        for figure, caption in said["figures"].items()
        if (path := folder.figures / f"{figure}.png").exists()
    ]
    with ThreadPoolExecutor() as pool:  # Pillow lets others run while it works on pixels
        shown = list(pool.map(_figure, *zip(*drawn, strict=True))) if drawn else []
    return f'<div class="figures">{"".join(shown)}</div>' if shown else "<p>None was drawn.</p>"


def _figure(path: Path, name: str, experiment: str, question: str, caption: str) -> str:
    with Image.open(path) as image:
        (width, height), source = image.size, _webp(image)
    title = escape(spaced(name).capitalize())
    return (
        f'<figure id="figure-{escape(name)}"><img loading="lazy" decoding="async" width="{width}" '
        f'height="{height}" alt="{escape(question or name)}" src="{source}">'
        f"<figcaption><b>{title}.</b> {symbols(question)} {symbols(caption)} "
        f'<a class="js" href="#explore?e={escape(experiment)}">Explore its data</a></figcaption></figure>'
    )


def _webp(image: Image.Image) -> str:
    stream = BytesIO()
    few = image.convert("RGB").quantize(COLOURS).convert("RGB")
    few.save(stream, "WEBP", lossless=True, quality=90, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
