"""What a claim is, and how it is judged.

A claim takes numbers for each seed from the tables, reduces them to one statistic, and holds its
bootstrap interval over seeds against bounds that its entry states.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from layerwise.data.streams import generator

RESAMPLES = 1000
COVERAGE = 0.95

# Reduced tables by experiment and name: results["condition_grid"]["summary"].
Results = dict[str, dict[str, pd.DataFrame]]


class NotMeasuredError(LookupError):
    """The tables lack what a claim needs, as those of a small scale may."""


class Bound(NamedTuple):
    """A one-sided bound on a statistic."""

    side: Literal["at least", "at most"]
    value: float

    def met_by(self, low: float, high: float) -> bool:
        """Whether the whole interval meets it; NaN does not."""
        return low >= self.value if self.side == "at least" else high <= self.value

    def __str__(self) -> str:
        return f"{self.side} {self.value:g}"


def at_least(value: float) -> Bound:
    """A lower bound."""
    return Bound("at least", value)


def at_most(value: float) -> Bound:
    """An upper bound."""
    return Bound("at most", value)


@dataclass(frozen=True)
class Claim:
    """A statement and what decides it.

    ``values`` takes the tables to one row a seed, of any columns; ``statistic`` takes such rows, shape
    (seeds, columns), to the number that ``quantity`` names. The claim is reproduced where the whole
    interval meets ``threshold``, partly where it meets the weaker ``partly``, else not.
    """

    name: str
    statement: str
    source: str  # where it is made: the paper, or ours
    quantity: str
    values: Callable[[Results], pd.DataFrame]
    statistic: Callable[[np.ndarray], float]
    threshold: Bound
    partly: Bound
    figure: str


class Judgement(NamedTuple):
    """A claim's statistic with its interval, and the verdict."""

    value: float
    low: float
    high: float
    seeds: int
    verdict: str
    rows: pd.DataFrame = pd.DataFrame()  # the numbers by seed
    resamples: np.ndarray = np.empty(0)  # the statistic over each resample of the seeds


def judge(claim: Claim, results: Results) -> Judgement:
    """Evaluate a claim on tables. A claim that they do not cover is "not measured"; one whose statistic is
    NaN, since methods diverged, is not reproduced."""
    try:
        table = claim.values(results)
    except NotMeasuredError:
        return Judgement(np.nan, np.nan, np.nan, 0, "not measured")
    rows = table.to_numpy(dtype=float)
    with np.errstate(invalid="ignore"):  # of runs that diverged, infinity less infinity
        value = claim.statistic(rows)
        drawn = resampled(rows, claim.statistic)
    low, high = interval(drawn)
    if claim.threshold.met_by(low, high):
        verdict = "reproduced"
    elif claim.partly.met_by(low, high):
        verdict = "partly"
    else:
        verdict = "not reproduced"
    return Judgement(value, low, high, len(rows), verdict, table, drawn)


def bootstrap(rows: np.ndarray, statistic: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """Percentile interval of a statistic over resamples of the seeds (rows)."""
    return interval(resampled(rows, statistic))


def resampled(rows: np.ndarray, statistic: Callable[[np.ndarray], float]) -> np.ndarray:
    """A statistic over each of RESAMPLES resamples of the seeds (rows)."""
    rng = generator("claims bootstrap", 0)
    picks = rng.integers(0, len(rows), size=(RESAMPLES, len(rows)))
    return np.array([statistic(rows[pick]) for pick in picks])


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """Percentile interval of resampled values. Infinite ones are ordered like any others, so quantiles
    are not interpolated."""
    tail = (1 - COVERAGE) / 2
    low = np.quantile(drawn, tail, method="lower")
    return float(low), float(np.quantile(drawn, 1 - tail, method="higher"))
