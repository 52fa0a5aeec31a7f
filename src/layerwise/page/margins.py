"""How far inside its bounds a claim's interval lies, in one unit for claims of unlike units.

A margin is the distance inside a bound over the gap to the weaker bound: at 0 or more the bound is met,
at −1 or more the weaker one. Where the two differ a hundredfold, distances are logarithmic.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from layerwise.page.text import number

FAR = 7.0  # where the axis ends
HUNDREDFOLD = 100


@dataclass(frozen=True)
class Side:
    """A bound with its weaker one; ``sign`` is 1 for a lower bound, −1 for an upper one."""

    sign: int
    full: float
    weaker: float
    has_weaker: bool = True  # else any value meets it, and ``weaker`` is the bound

    @property
    def log(self) -> bool:
        """Whether distances from it are logarithmic."""
        if not (self.full > 0 and self.weaker > 0):
            return False
        return max(self.full / self.weaker, self.weaker / self.full) >= HUNDREDFOLD

    def margin(self, value: float) -> float:
        """Of a value; infinite for infinite ones, NaN for NaN."""
        if not math.isfinite(value):
            return self.sign * value
        scale: Callable[[float], float] = _log if self.log else float
        gap = abs(scale(self.full) - scale(self.weaker)) or abs(self.full) or 1.0
        return self.sign * (scale(value) - scale(self.full)) / gap

    def __str__(self) -> str:
        return f"{'at least' if self.sign > 0 else 'at most'} {number(self.full)}"

    @property
    def weaker_text(self) -> str:
        """The weaker bound in words."""
        return str(Side(self.sign, self.weaker, self.weaker)) if self.has_weaker else "any value"

    @property
    def short(self) -> str:
        """Both bounds as a table has them."""
        weaker = number(self.weaker) if self.has_weaker else "any"
        return f"{'≥' if self.sign > 0 else '≤'} {number(self.full)} (weaker {weaker})"


@dataclass(frozen=True)
class Part:
    """A statistic with its interval and its bounds, of one or two sides."""

    quantity: str
    value: float
    low: float
    high: float
    seeds: int
    sides: tuple[Side, ...]

    @classmethod
    def of(cls, row: dict[Any, Any]) -> "Part":
        """From a row of the claims' table of parts."""
        bounds = ((1, row["lower"], row["weaker_lower"]), (-1, row["upper"], row["weaker_upper"]))
        sides = [
            Side(sign, full, weaker if math.isfinite(weaker) else full, math.isfinite(weaker))
            for sign, full, weaker in bounds
            if math.isfinite(full)
        ]
        return cls(
            row["quantity"], row["value"], row["low"], row["high"], row["seeds"], tuple(sides)
        )

    @property
    def measured(self) -> bool:
        """Whether the tables had its numbers."""
        return self.seeds > 0

    @property
    def undefined(self) -> bool:
        """Whether its numbers give no statistic, as where runs diverge."""
        return self.measured and math.isnan(self.value)

    def margin(self, value: float) -> float:
        """To the nearer of its bounds."""
        return min((side.margin(value) for side in self.sides), default=math.nan)

    @property
    def margins(self) -> tuple[float, float, float]:
        """Of the value, and the smallest and largest of the interval."""
        ends = [self.margin(v) for v in (self.low, self.high)]  # NaN where there is no bound
        inside = self.margin(self.value) if self.low <= self.value <= self.high else -math.inf
        return self.margin(self.value), min(ends), max(*ends, inside)

    @property
    def bounds(self) -> str:
        """Its bounds in words."""
        return " and ".join(str(side) for side in self.sides) or "any value"

    @property
    def why(self) -> str:
        """Why the verdict is what it is, as a sentence."""
        if not self.measured:
            return "The tables lack what it needs."
        if not self.sides:
            return "It has no bound, and the verdict does not depend on it."
        if self.undefined:
            return "The statistic is undefined, since runs diverge: that meets no bound."
        return " ".join(self._why(side) for side in self.sides)

    def _why(self, side: Side) -> str:
        edge, word = (self.low, "lower") if side.sign > 0 else (self.high, "upper")
        end = f"interval’s {word} end, {number(edge)},"
        if math.isnan(edge):
            return f"The interval has no {word} end, since resamples diverge: that meets no bound."
        if side.margin(edge) >= 0:
            return f"The {end} is {side}, so the whole interval is."
        if side.margin(edge) >= -1 or not side.has_weaker:
            return f"The {end} misses {side} but meets the weaker bound, {side.weaker_text}."
        return f"The {end} misses both {side} and the weaker bound, {side.weaker_text}."


def place(margin: float) -> float:
    """Where on the axis a margin lies, in per cent from its left end: logarithmic both ways from 0."""
    bounded = max(-FAR, min(FAR, margin))
    along = math.copysign(math.log2(1 + abs(bounded)), bounded)
    return 50 + 50 * along / math.log2(1 + FAR)


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else -math.inf
