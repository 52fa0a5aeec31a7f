"""One entry of the study's table: a claim, and what a reader must know of where it comes from."""

from dataclasses import dataclass

from layerwise.claims.claim import Bound, Claim, Part
from layerwise.claims.interval import Statistic, Values, as_it_is, over_seeds

ABSTRACT, LINEAR, SINGLE = "paper, abstract", "paper, Sec. 3.1", "paper, Sec. 3.2, Thm 3.9"
NUMERICAL = "paper, Sec. 4"


@dataclass(frozen=True)
class Entry:
    """A claim with its source's words, the experiments it reads, and what an earlier audit found."""

    claim: Claim
    words: str  # the paper's, in quotation marks, or how they were summed up
    reads: str  # an experiment, with the columns of ``columns.EXPECTED``
    earlier: str  # what was measured before, and what was wrong with it


def part(
    quantity: str, values: Values, statistic: Statistic, threshold: Bound, partly: Bound
) -> Part:
    """A part with an interval over seeds."""
    return Part(quantity, over_seeds(values, statistic), threshold, partly)


def count(
    quantity: str, values: Values, statistic: Statistic, threshold: Bound, partly: Bound
) -> Part:
    """A part that accounts for chance by itself: a p-value, or a number of tests passed."""
    return Part(quantity, as_it_is(values, statistic), threshold, partly)


def entry(
    name: str,
    statement: str,
    source: str,
    words: str,
    parts: tuple[Part, ...],
    reads: str,
    earlier: str,
    view: str = "",
) -> Entry:
    """An entry that reads one experiment, and whose figure has its name."""
    return Entry(Claim(name, statement, source, parts, reads, view), words, reads, earlier)
