"""The publication figures in the page: WebP of few colours, a quarter of the bytes of PNG."""

import base64
from io import BytesIO

from PIL import Image

from layerwise.page.folder import Folder
from layerwise.page.text import escape, spaced, symbols

COLOURS = 256  # of a picture: the methods keep theirs


def figures(folder: Folder) -> str:
    """The view, as HTML."""
    shown = []
    for name, said in folder.experiments.items():
        for figure, caption in said["figures"].items():
            path = folder.figures / f"{figure}.png"
            if path.exists():
                with Image.open(path) as image:
                    shown.append(_figure(figure, name, said["question"], caption, image))
    return f'<div class="figures">{"".join(shown)}</div>' if shown else "<p>None was drawn.</p>"


def _figure(name: str, experiment: str, question: str, caption: str, image: Image.Image) -> str:
    width, height = image.size
    title = escape(spaced(name).capitalize())
    return (
        f'<figure id="figure-{escape(name)}"><img loading="lazy" decoding="async" width="{width}" '
        f'height="{height}" alt="{escape(question or name)}" src="{_webp(image)}">'
        f"<figcaption><b>{title}.</b> {symbols(question)} {symbols(caption)} "
        f'<a class="js" href="#explore?e={escape(experiment)}">Explore its data</a></figcaption></figure>'
    )


def _webp(image: Image.Image) -> str:
    stream = BytesIO()
    few = image.convert("RGB").quantize(COLOURS).convert("RGB")
    few.save(stream, "WEBP", lossless=True, quality=90, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
