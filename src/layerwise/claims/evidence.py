"""What decided each claim, as tables: bounds, resamples and numbers by seed, and the code behind them."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from layerwise.claims.claim import Bound, Claim, Judgement, Part, PartJudgement
from layerwise.claims.formulas import largest_error
from layerwise.claims.origin import held_by, origin
from layerwise.claims.pairs import largest_geometric_mean, smallest_mean
from layerwise.claims.rates import largest_relative_error

# The tables, by what their names add to "claims": a row for each part of a claim, for each resample of
# a part's statistic, and for each number that a seed contributes to a part.
TABLES = ("", "_resamples", "_seeds")
# Statistics that are the largest, or the smallest, of the same statistic on each column alone.
EXTREMES = (largest_geometric_mean, smallest_mean, largest_error, largest_relative_error)


def evidence(judgements: Sequence[tuple[Claim, Judgement]]) -> dict[str, pd.DataFrame]:
    """The tables, by TABLES."""
    rows, resamples, seeds = [], [], []
    for claim, judged in judgements:
        shared = {
            "statement": claim.statement,
            "source": claim.source,
            "figure": claim.figure,
            "view": claim.view,
        }
        for place, (part, found) in enumerate(zip(claim.parts, judged.parts, strict=True)):
            key = {"claim": claim.name, "part": place}
            rows.append({**key, **shared, "verdict": judged.verdict, **_row(part, found)})
            drawn = pd.DataFrame({"value": found.estimate.resamples})
            drawn = drawn.assign(claim=claim.name, part=place, resample=drawn.index)
            resamples.append(drawn)
            seeds.append(_by_seed(part, found.estimate.rows).assign(claim=claim.name, part=place))
    contents = (pd.DataFrame(rows), pd.concat(resamples), pd.concat(seeds))
    return {
        name: content.reset_index(drop=True) for name, content in zip(TABLES, contents, strict=True)
    }


def _row(part: Part, found: PartJudgement) -> dict[str, object]:
    value, low, high, seeds = found.estimate[:4]
    values, statistic = map(origin, _made_of(part.measure))
    return {
        "part_verdict": found.verdict,
        "quantity": part.quantity,
        "value": value,
        "low": low,
        "high": high,
        "seeds": seeds,
        **dict(_bounds("", part.threshold)),
        **dict(_bounds("weaker_", part.partly)),
        "numbers": values.call,
        "numbers_at": values.at,
        "numbers_code": values.code,
        "words": values.words,
        "statistic": statistic.call,
        "statistic_at": statistic.at,
        "statistic_code": statistic.code,
    }


def _made_of(measure: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What takes the tables to numbers by seed, and what reduces these; the measure itself where it does
    not part them."""
    inner = held_by(measure)
    return inner.get("values", measure), inner.get("statistic", measure)


def _bounds(prefix: str, bound: Bound) -> Iterator[tuple[str, float]]:
    """A bound's two sides; NaN where it has none."""
    yield f"{prefix}lower", bound.low if np.isfinite(bound.low) else np.nan
    yield f"{prefix}upper", bound.high if np.isfinite(bound.high) else np.nan


def _by_seed(part: Part, rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed and column, which is numbered, since names may repeat. ``alone`` is the
    statistic on the column alone, where the part's is an extreme of these."""
    levels = [str(level) for level in rows.columns.names]
    names = [_named(levels, name if isinstance(name, tuple) else (name,)) for name in rows]
    if rows.empty:  # not judged: no row, of the columns below
        return _no_numbers()
    _, statistic = _made_of(part.measure)
    alone = [
        statistic(rows.iloc[:, [place]]) if statistic in EXTREMES else np.nan
        for place in range(len(names))
    ]
    return _long(rows, names, alone)


@cache
def _no_numbers() -> pd.DataFrame:
    return _long(pd.DataFrame(), [], [])


def _long(rows: pd.DataFrame, names: Sequence[str], alone: Sequence[float]) -> pd.DataFrame:
    """A row for each seed and column of ``rows``, whose names and own statistics are given."""
    flat = rows.set_axis(range(len(names)), axis=1).rename_axis("seed")
    long = flat.reset_index().melt("seed", var_name="column", value_name="value")
    return long.assign(
        name=long["column"].map(dict(enumerate(names))).astype(str),
        alone=long["column"].map(dict(enumerate(alone))).astype(float),
        value=long["value"].astype(float),
    )


def _named(levels: Sequence[str], name: Sequence[object]) -> str:
    """A column's name, its numbers with what they are of: "kappa_x = 10, lr = 0.1"."""
    return ", ".join(
        one if isinstance(one, str) else f"{level} = {one:g}" if level != "None" else f"{one:g}"
        for level, one in zip(levels, name, strict=True)
    )
