"""A method's look for the browser: the colours, markers and lines of the figures, as SVG says them."""

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline

from layerwise.figures import style

LINE = 1.6  # pixels
STEPS: dict[Any, str] = {
    Outline.MOVETO: "M",
    Outline.LINETO: "L",
    Outline.CURVE3: "Q",
    Outline.CURVE4: "C",
}


def looks(methods: Iterable[str], labels: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Label, colour, dashes and marker of each method, in the figures' order. Labels differ, so that
    they can stand for methods."""
    names = style.ordered(dict.fromkeys(methods))
    said = {name: labels.get(name, name) for name in names}
    return {
        name: {
            "label": f"{said[name]} ({name})" if _shared(said, name) else said[name],
            "color": look["color"],
            "dash": dashes(look["linestyle"]),
            "shape": outline(look["marker"]),
        }
        for name in names
        for look in [style.of_method(name, said)]
    }


def _shared(said: dict[str, str], name: str) -> bool:
    return list(said.values()).count(said[name]) > 1


def dashes(linestyle: Any) -> list[float]:
    """Lengths of dashes and gaps in pixels; none for a full line."""
    if linestyle == "-":
        return []
    named = {
        "--": mpl.rcParams["lines.dashed_pattern"],
        ":": mpl.rcParams["lines.dotted_pattern"],
        "-.": mpl.rcParams["lines.dashdot_pattern"],
    }
    pattern = named[linestyle] if isinstance(linestyle, str) else linestyle[1]
    return [round(LINE * float(length), 2) for length in pattern]


def outline(marker: str) -> str:
    """A marker as an SVG path about the origin, within −1 to 1."""
    made = MarkerStyle(marker)
    path = made.get_path().transformed(made.get_transform())
    size = float(np.abs(path.vertices).max()) or 1.0
    words = []
    for points, code in path.iter_segments(simplify=False):
        flipped = np.asarray(points) * np.tile([1, -1], len(points) // 2) / size
        numbers = ",".join(f"{x:g}" for x in flipped.round(3) + 0.0)
        words.append(f"{STEPS[code]}{numbers}" if code in STEPS else "Z")
    return "".join(words)
