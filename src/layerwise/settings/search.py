"""Which step sizes and dampings are tried where a choice is tuned: the same two passes for every method.

As long as the score has one minimum in the step size, they end where trying all of them would. No torch.
"""

import math
from collections.abc import Sequence

# A grid of fewer step sizes than this is tried whole.
WHOLE = 6


def coarse(
    grid: Sequence[float], fixed: Sequence[float] = (), dampings: Sequence[float] = ()
) -> list[float]:
    """The step sizes of the first pass, which is with every damping: every third of ``grid``, from the
    second on, every second where there are several dampings, and those that are ``fixed``; a short grid is
    tried whole. (Which damping is best depends on the step size, and such grids have fewer a decade.)"""
    ordered = sorted(grid)
    if len(ordered) < WHOLE:
        return ordered
    return sorted({*ordered[1 :: 2 if len(dampings) > 1 else 3], *fixed})


def around(best: float, grid: Sequence[float], tried: Sequence[float]) -> list[float]:
    """The step sizes of the second pass, which is with the damping that did best in the first: those of
    ``grid`` on either side of ``best``, as far as the next that were ``tried`` or the grid's ends."""
    below = max((lr for lr in tried if lr < best), default=-math.inf)
    above = min((lr for lr in tried if lr > best), default=math.inf)
    return sorted(lr for lr in grid if below < lr < above and lr != best)


def most_tried(
    grid: Sequence[float], fixed: Sequence[float], dampings: Sequence[float] = ()
) -> int:
    """How many choices both passes try at most."""
    first = coarse(grid, fixed, dampings)
    second = max((len(around(best, grid, first)) for best in first), default=0)
    return max(len(first), 1) * max(len(dampings), 1) + second
