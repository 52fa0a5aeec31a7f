"""Text for HTML: escaped, with numbers and symbols as readers write them."""

import html
import math
import re

MINUS = "−"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def escape(value: object) -> str:
    """Any text, for content and for attributes in double quotes."""
    return html.escape(str(value), quote=True)


def symbols(value: str) -> str:
    """Escaped text in which κ_x, or kappa_x as settings are called, has a subscript."""
    lettered = re.sub(r"\bkappa_(?=[xf]\b)", "κ_", escape(value)).replace("κ_f", "κ_F")
    return re.sub(r"([κΣσd])_(\w)\b", r"\1<sub>\2</sub>", lettered)


def number(value: float, digits: int = 3) -> str:
    """A number for readers; a dash for what is undefined, ∞ for what is infinite."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    words = "0" if abs(value) < 1e-12 else f"{value:.{digits}g}"
    mantissa, _, exponent = words.partition("e")
    shown = mantissa.replace("-", MINUS)
    return f"{shown}·10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else shown


def spaced(name: str) -> str:
    """A name from a configuration, as words."""
    return name.replace("_", " ")


def grid(values: list[float]) -> str:
    """A grid of values in a few words."""
    ordered = sorted(values)
    if len(ordered) > 4:
        return f"{ordered[0]:g} … {ordered[-1]:g} ({len(ordered)} values)"
    return ", ".join(f"{value:g}" for value in ordered) or "–"


def span(numbers: list[int] | int) -> str:
    """Whole numbers, or a count of these from 0, by their ends where none between is left out."""
    ordered = list(range(numbers)) if isinstance(numbers, int) else sorted(numbers)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}–{ordered[-1]}"
    return ", ".join(map(str, ordered))


def table(head: list[str], rows: list[list[str]], kind: str = "grid") -> str:
    """A table of cells that are HTML already; a row's first cell is its heading."""
    heading = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{heading}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
