"""What decided each claim, as tables: bounds, resamples and numbers by seed, and the code behind them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from layerwise.claims.claim import Bound, Claim, Judgement, Part, PartJudgement
from layerwise.claims.origin import held_by, origin

# The tables, by what their names add to "claims": a row for each part of a claim, for each resample of
# a part's statistic, and for each number that a seed contributes to a part.
TABLES = ("", "_resamples", "_seeds")


def evidence(judgements: Sequence[tuple[Claim, Judgement]]) -> dict[str, pd.DataFrame]:
    """The tables, by TABLES."""
    rows, resamples, seeds = [], [], []
    for claim, judged in judgements:
        shared = {"statement": claim.statement, "source": claim.source, "figure": claim.figure}
        for place, (part, found) in enumerate(zip(claim.parts, judged.parts, strict=True)):
            key = {"claim": claim.name, "part": place}
            rows.append({**key, **shared, "verdict": judged.verdict, **_row(part, found)})
            drawn = pd.DataFrame({"value": found.estimate.resamples})
            drawn = drawn.assign(claim=claim.name, part=place, resample=drawn.index)
            resamples.append(drawn)
            seeds.append(_by_seed(found.estimate.rows).assign(claim=claim.name, part=place))
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


def _by_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed and column, which is numbered, since names may repeat."""
    names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in rows]
    flat = rows.set_axis(range(len(names)), axis=1).rename_axis("seed")
    long = flat.reset_index().melt("seed", var_name="column", value_name="value")
    named = long["column"].map(dict(enumerate(names))).astype(str)
    return long.assign(name=named, value=long["value"].astype(float))
