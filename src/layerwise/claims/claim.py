"""What a claim is, and how it is judged.

A claim has one part or more. A part reduces numbers for each seed, from the tables, to an estimate with
its interval over seeds, and holds that against bounds that its entry states. The claim's verdict is the
worst of its parts'.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

RESAMPLES = 1000
COVERAGE = 0.95

# From the best to the worst. What was not measured is unknown, and so is a claim with such a part.
VERDICTS = ("reproduced", "partly", "not reproduced", "not measured", "not run")

# Reduced tables by experiment and name: results["condition_study"]["summary"].
Results = dict[str, dict[str, pd.DataFrame]]


class NotMeasuredError(LookupError):
    """The tables lack what a claim needs, as those of a small scale may."""


class NotRunError(NotMeasuredError):
    """An experiment that a claim reads has no tables at all."""


class Bound(NamedTuple):
    """The values that a statistic may take, both ends included."""

    low: float
    high: float

    def met_by(self, low: float, high: float) -> bool:
        """Whether the whole interval lies within; NaN does not."""
        return self.low <= low and high <= self.high

    def __str__(self) -> str:
        if self == ANY:
            return "any value"
        if np.isinf(self.high):
            return f"at least {self.low:g}"
        if np.isinf(self.low):
            return f"at most {self.high:g}"
        return f"between {self.low:g} and {self.high:g}"


def at_least(value: float) -> Bound:
    """A lower bound."""
    return Bound(value, np.inf)


def at_most(value: float) -> Bound:
    """An upper bound."""
    return Bound(-np.inf, value)


def between(low: float, high: float) -> Bound:
    """A bound on both sides."""
    return Bound(low, high)


ANY = Bound(-np.inf, np.inf)  # of a part that is shown and decides nothing


class Estimate(NamedTuple):
    """A statistic with its interval over the seeds."""

    value: float
    low: float
    high: float
    seeds: int
    rows: pd.DataFrame = pd.DataFrame()  # the numbers by seed
    resamples: np.ndarray = np.empty(0)  # the statistic over each resample of the seeds


UNKNOWN = Estimate(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Part:
    """A statistic, named by ``quantity``, and its bounds: the part is reproduced where the whole interval
    meets ``threshold``, partly where it meets the weaker ``partly``, else not."""

    quantity: str
    measure: Callable[[Results], Estimate]
    threshold: Bound
    partly: Bound


@dataclass(frozen=True)
class Claim:
    """A statement and what decides it."""

    name: str
    statement: str
    source: str  # where it is made: the paper, or ours
    parts: tuple[Part, ...]
    figure: str
    view: str = (
        ""  # which of the page's views of the figure's data is nearest; else by its arguments
    )


class PartJudgement(NamedTuple):
    """A part's estimate, and its verdict."""

    estimate: Estimate
    verdict: str


class Judgement(NamedTuple):
    """A claim's verdict, and those of its parts in their order."""

    verdict: str
    parts: tuple[PartJudgement, ...]


def judge(claim: Claim, results: Results) -> Judgement:
    """Evaluate a claim on tables. A part that they do not cover is "not measured", and "not run" where the
    experiment has no tables; one whose statistic is NaN, since methods diverged, is not reproduced."""
    parts = tuple(_judged(part, results) for part in claim.parts)
    return Judgement(max((part.verdict for part in parts), key=VERDICTS.index), parts)


def _judged(part: Part, results: Results) -> PartJudgement:
    try:
        estimate = part.measure(results)
    except NotRunError:
        return PartJudgement(UNKNOWN, "not run")
    except (LookupError, ValueError):
        # NotMeasuredError, or what pandas says where overrides leave none of the rows that a claim is
        # about, or several in the place of one.
        return PartJudgement(UNKNOWN, "not measured")
    return PartJudgement(estimate, verdict_on(part, estimate))


def verdict_on(part: Part, estimate: Estimate) -> str:
    """Which of the part's bounds the estimate's interval meets."""
    if part.threshold.met_by(estimate.low, estimate.high):
        return "reproduced"
    if part.partly.met_by(estimate.low, estimate.high):
        return "partly"
    return "not reproduced"
