"""Which step sizes and dampings are tried where a choice is tuned: the same two passes for every method.

As long as the score has one minimum in the step size, and one in the damping that is the same with every
step size, they end where trying all of them would. No torch.
"""

import math
from collections.abc import Sequence
from functools import cache

# Fewer step sizes than these are tried whole.
WHOLE = 6
# Dampings are tried whole up to so many choices.
BUDGET = 24

# Step sizes, and dampings (none where a method takes none), that are tried together.
Choices = tuple[list[float], list[float]]


def coarse(
    lrs: Sequence[float], fixed: Sequence[float] = (), dampings: Sequence[float] = ()
) -> Choices:
    """The first pass: every third of ``lrs``, from the second on, or where there are several dampings every
    second, and those that are ``fixed``; a short grid is tried whole. With every damping, or every second
    where both passes would try more than BUDGET. (Which damping is best depends on the step size, and such
    grids have fewer a decade.)"""
    ordered, values = sorted(lrs), sorted(dampings)
    if len(ordered) >= WHOLE:
        ordered = sorted({*ordered[1 :: 2 if len(values) > 1 else 3], *fixed})
    whole = ordered, values
    return whole if _most(whole, lrs, dampings) <= BUDGET else (ordered, values[1::2] or values)


def refined(
    lr: float,
    damping: float,
    lrs: Sequence[float],
    dampings: Sequence[float],
    first: Choices,
) -> list[Choices]:
    """The second pass, with what lies between the best and the next that were tried ``first``: step sizes
    on either side of ``lr``, with ``damping`` and those on either side of it; and these with ``lr``."""
    beside, between = _around(lr, lrs, first[0]), _around(damping, dampings, first[1])
    own = [damping] if dampings else []
    around = [(beside, sorted([*own, *between])), ([lr], between)]
    return [some for some, values in zip(around, (beside, between), strict=True) if values]


def most_tried(lrs: Sequence[float], fixed: Sequence[float], dampings: Sequence[float] = ()) -> int:
    """How many choices both passes try at most."""
    return _most_tried(tuple(lrs), tuple(fixed), tuple(dampings))


@cache  # a plan asks for each of its cells
def _most_tried(
    lrs: tuple[float, ...], fixed: tuple[float, ...], dampings: tuple[float, ...]
) -> int:
    return _most(coarse(lrs, fixed, dampings), lrs, dampings)


def _most(first: Choices, lrs: Sequence[float], dampings: Sequence[float]) -> int:
    most = [
        max((len(_around(best, values, some)) for best in some), default=0)
        for values, some in zip((lrs, dampings), first, strict=True)
    ]
    return math.prod(max(len(some), 1) for some in first) + math.prod(n + 1 for n in most) - 1


def _around(best: float, grid: Sequence[float], tried: Sequence[float]) -> list[float]:
    """Those of ``grid`` on either side of ``best``, as far as the next that were ``tried`` or its ends."""
    below = max((value for value in tried if value < best), default=-math.inf)
    above = min((value for value in tried if value > best), default=math.inf)
    return sorted(value for value in grid if below < value < above and value != best)
