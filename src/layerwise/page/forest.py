"""The forest: each claim's interval as a small picture against its bounds. Drawn here and not by the
library, since it has to be there without scripts, as part of a table."""

import math

from layerwise.page.margins import FAR, Part, place
from layerwise.page.text import escape, number

TICKS = ((-7, "−7"), (-3, "−3"), (-1, "weaker"), (0, "bound"), (1, "+1"), (3, "+3"), (7, "+7"))
# What a verdict looks like: the style's name, and a sign for those who do not see colours.
VERDICTS = {
    "reproduced": ("ok", "✓"),
    "partly": ("mid", "◐"),
    "not reproduced": ("no", "✕"),
    "not measured": ("na", "–"),
    "not run": ("na", "–"),
}
BESIDE = "shown beside it"  # in the place of a verdict, of a part without a bound


def chip(verdict: str) -> str:
    """A verdict as a badge."""
    look, sign = VERDICTS.get(verdict, VERDICTS["not measured"])
    return f'<span class="chip {look}"><i aria-hidden="true">{sign}</i>{escape(verdict)}</span>'


def strip(parts: list[Part], verdicts: list[str]) -> str:
    """Intervals under each other on the axis of margins, each in the colour of its verdict. It fills
    the cell of a table, so that the zones make columns."""
    share = 100 / len(parts)
    pairs = list(zip(parts, verdicts, strict=True))
    drawn = [
        _interval(part, tone(verdict), f"{share * (at + 0.5):.3f}%")
        for at, (part, verdict) in enumerate(pairs)
    ]
    words = escape("; ".join(described(part, verdict) for part, verdict in pairs))
    weaker = f"{place(-1):.3f}%"
    zones = (
        f'<rect class="zone no" width="{weaker}" height="100%"/>'
        f'<rect class="zone mid" x="{weaker}" width="{50 - place(-1):.3f}%" height="100%"/>'
        '<rect class="zone ok" x="50%" width="50%" height="100%"/>'
        f'<line class="weaker" x1="{weaker}" x2="{weaker}" y1="0" y2="100%"/>'
        '<line class="bound" x1="50%" x2="50%" y1="0" y2="100%"/>'
    )
    return f'<svg class="strip" role="img" aria-label="{words}">{zones}{"".join(drawn)}</svg>'


def tone(verdict: str) -> str:
    """The style's name for a verdict's look, of one that has none as of what was not measured."""
    return VERDICTS.get(verdict, VERDICTS["not measured"])[0]


def described(part: Part, verdict: str) -> str:
    """An interval in words."""
    if not part.measured:
        return f"{part.quantity}: not measured"
    if part.undefined:
        return f"{part.quantity}: undefined, since runs diverge; {verdict}"
    return (
        f"{part.quantity}: {number(part.value)}, interval {number(part.low)} to {number(part.high)}; "
        f"bound: {part.bounds}; {verdict}"
    )


def _interval(part: Part, look: str, y: str) -> str:
    if not part.measured:
        return f'<text class="said" x="52%" y="{y}">not measured</text>'
    if not part.sides:
        return f'<text class="said" x="52%" y="{y}">no bound</text>'
    if part.undefined:  # at the bad end: it meets no bound
        return f'<text class="said no" x="1%" y="{y}">undefined: runs diverge</text>'
    value, low, high = part.margins
    low = -math.inf if math.isnan(low) else low
    high = value if math.isnan(high) else high
    marks = [
        f'<line class="iv" x1="{place(low):.3f}%" x2="{place(high):.3f}%" y1="{y}" y2="{y}"/>',
    ]
    if low < -FAR:
        marks.append(f'<text class="far" x="0" y="{y}">◂</text>')
    if high > FAR:
        marks.append(f'<text class="far end" x="100%" y="{y}">▸</text>')
    if abs(value) <= FAR:
        marks.append(f'<circle class="dot" cx="{place(value):.3f}%" cy="{y}" r="5"/>')
    return f'<g class="{look}">{"".join(marks)}</g>'


def scale() -> str:
    """The axis above the forest."""
    words = "".join(
        f'<text class="{"main" if at == 0 else "tick"}" x="{place(at):.3f}%" y="13">{word}</text>'
        for at, word in TICKS
    )
    return (
        f'<svg class="ticks" width="100%" height="18" aria-hidden="true">{words}</svg>'
        '<span class="sr">interval against its bounds</span>'
    )
