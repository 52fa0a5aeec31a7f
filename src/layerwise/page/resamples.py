"""A part's resamples as a picture: bars, its interval and its bounds on the statistic's own axis. Drawn
here, as the forest is, since it has to be there without scripts."""

import math

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from layerwise.page.forest import tone
from layerwise.page.margins import Part
from layerwise.page.text import number, symbols

BINS = 48
TICKS = 5
LEFT, WIDE = 2.0, 96.0  # of the picture, in per cent
EDGE = 12.0  # nearer to an end a word has no room
TOP, FLOOR, AXIS, HIGH = 16, 106, 112, 132  # in pixels


def picture(part: Part, drawn: np.ndarray, verdict: str) -> str:
    """Of a part with a number to draw; nothing of others."""
    finite = drawn[np.isfinite(drawn)]
    if not np.isfinite(part.value):
        return ""
    axis = _Axis(part, finite)
    lost = len(drawn) - len(finite)
    said = [
        f"The statistic: {symbols(part.quantity)}. Dot: on all seeds; line: its 95 % interval.",
        f"Bars: on {len(drawn)} resamples of the seeds, moved so that their median is the dot."
        if len(drawn)
        else "It accounts for chance by itself, and has no resamples.",
        f"{lost} of them have no finite value and are not in the bars." if lost else "",
    ]
    words = symbols(f"Resamples of: {part.quantity}")
    return (
        f'<figure class="resample"><svg role="img" aria-label="{words}" width="100%" height="{HIGH}">'
        f"{axis.zones(part)}{axis.bars(finite)}{axis.bounds(part)}"
        f'<g class="{tone(verdict)}">{axis.interval(part)}</g>{axis.ticks()}</svg>'
        f'<figcaption class="note">{" ".join(filter(None, said))}</figcaption></figure>'
    )


class _Axis:
    """Where numbers lie: logarithmic where the bounds are, if all numbers are positive."""

    def __init__(self, part: Part, finite: np.ndarray) -> None:
        ends = [part.value, part.low, part.high, *finite]
        ends += [edge for side in part.sides for edge in (side.full, side.weaker)]
        known = np.asarray([end for end in ends if math.isfinite(end)])
        self.log = any(side.log for side in part.sides) and bool((known > 0).all())
        low, high = self._along(known.min()), self._along(known.max())
        pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        self.low, self.high = low - pad, high + pad

    def _along(self, value: float) -> float:
        return math.log10(value) if self.log else float(value)

    def at(self, value: float) -> float:
        """Per cent from the left; the ends for what is infinite."""
        if math.isinf(value):
            return LEFT + (WIDE if value > 0 else 0)
        share = (self._along(value) - self.low) / (self.high - self.low)
        return LEFT + WIDE * min(1.0, max(0.0, share))

    def _area(self, kind: str, one: float, other: float, top: float = TOP) -> str:
        a, b = sorted((self.at(one), self.at(other)))
        return (
            f'<rect class="{kind}" x="{a:.2f}%" width="{b - a:.2f}%" y="{top:.1f}" '
            f'height="{FLOOR - top:.1f}"/>'
        )

    def zones(self, part: Part) -> str:
        """Where the bound and the weaker one are met."""
        if not part.sides:
            return ""
        lower = max((side.full for side in part.sides if side.sign > 0), default=-math.inf)
        upper = min((side.full for side in part.sides if side.sign < 0), default=math.inf)
        weaker = "".join(self._area("zone mid", side.weaker, side.full) for side in part.sides)
        return self._area("zone ok", lower, upper) + weaker

    def bars(self, finite: np.ndarray) -> str:
        """How many resamples lie where."""
        if not finite.size:
            return ""
        counts, edges = np.histogram([self._along(value) for value in finite], BINS)
        edges = 10.0**edges if self.log else edges
        scale = (FLOOR - TOP - 10) / counts.max()
        return "".join(
            self._area("bar", edges[at], edges[at + 1], FLOOR - scale * count)
            for at, count in enumerate(counts)
            if count
        )

    def bounds(self, part: Part) -> str:
        """Each with its word on the side where it is met; a weaker one that is another, on the other."""
        return "".join(
            self._bound(side.full, "bound", side.sign)
            + (self._bound(side.weaker, "weaker", -side.sign) if side.weaker != side.full else "")
            for side in part.sides
        )

    def _bound(self, value: float, word: str, towards: int) -> str:
        place = self.at(value)
        towards = -1 if place > 100 - EDGE else 1 if place < EDGE else towards
        at = f"{place:.2f}%"
        end = ' class="end"' if towards < 0 else ""
        return (
            f'<line class="{word}" x1="{at}" x2="{at}" y1="2" y2="{FLOOR}"/>'
            f'<text{end} x="{at}" dx="{4 * towards}" y="11">{word}</text>'
        )

    def interval(self, part: Part) -> str:
        """The line and the dot, on the floor."""
        low, high, value = (f"{self.at(one):.2f}%" for one in (part.low, part.high, part.value))
        return (
            f'<line class="iv" x1="{low}" x2="{high}" y1="{FLOOR}" y2="{FLOOR}"/>'
            f'<circle class="dot" cx="{value}" cy="{FLOOR}" r="5"/>'
        )

    def ticks(self) -> str:
        """Round numbers under the floor."""
        low, high = (10.0**end if self.log else end for end in (self.low, self.high))
        found = LogLocator(numticks=TICKS) if self.log else MaxNLocator(TICKS, steps=[1, 2, 5, 10])
        values = [one for one in found.tick_values(low, high) if low <= one <= high]
        marks = "".join(
            f'<line x1="{self.at(one):.2f}%" x2="{self.at(one):.2f}%" y1="{AXIS}" y2="{AXIS + 4}"/>'
            f'<text class="tick" x="{self.at(one):.2f}%" y="{HIGH - 4}">{number(one)}</text>'
            for one in values
        )
        line = f'<line x1="{LEFT}%" x2="{LEFT + WIDE}%" y1="{AXIS}" y2="{AXIS}"/>'
        return f'<g class="axis">{line}{marks}</g>'
