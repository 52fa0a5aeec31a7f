"""What decided each claim, as tables: bounds, resamples and numbers by seed, and the code behind them."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from layerwise.claims.claim import Bound, Claim, Judgement
from layerwise.claims.origin import origin

# The tables, by what their names add to "claims": a row for each part of a claim, for each resample of
# a part's statistic, and for each number that a seed contributes to a part.
TABLES = ("", "_resamples", "_seeds")


def evidence(judgements: Sequence[tuple[Claim, Judgement]]) -> dict[str, pd.DataFrame]:
    """The tables, by TABLES."""
    rows, resamples, seeds = [], [], []
    for claim, judged in judgements:
        rows.append({"claim": claim.name, "part": 0, **_row(claim, judged)})
        drawn = pd.DataFrame({"value": judged.resamples})
        resamples.append(drawn.assign(claim=claim.name, part=0, resample=drawn.index))
        seeds.append(_by_seed(judged.rows).assign(claim=claim.name, part=0))
    contents = (pd.DataFrame(rows), pd.concat(resamples), pd.concat(seeds))
    return {
        name: content.reset_index(drop=True) for name, content in zip(TABLES, contents, strict=True)
    }


def _row(claim: Claim, judged: Judgement) -> dict[str, object]:
    values, statistic = origin(claim.values), origin(claim.statistic)
    return {
        "statement": claim.statement,
        "source": claim.source,
        "figure": claim.figure,
        "verdict": judged.verdict,
        "quantity": claim.quantity,
        "value": judged.value,
        "low": judged.low,
        "high": judged.high,
        "seeds": judged.seeds,
        **dict(_bounds("", claim.threshold)),
        **dict(_bounds("weaker_", claim.partly)),
        "numbers": values.call,
        "numbers_at": values.at,
        "numbers_code": values.code,
        "words": values.words,
        "statistic": statistic.call,
        "statistic_at": statistic.at,
        "statistic_code": statistic.code,
    }


def _bounds(prefix: str, bound: Bound) -> Iterator[tuple[str, float]]:
    """A bound's two sides; NaN where it has none."""
    yield f"{prefix}lower", bound.value if bound.side == "at least" else np.nan
    yield f"{prefix}upper", bound.value if bound.side == "at most" else np.nan


def _by_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed and column, which is numbered, since names may repeat."""
    names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in rows]
    flat = rows.set_axis(range(len(names)), axis=1).rename_axis("seed")
    long = flat.reset_index().melt("seed", var_name="column", value_name="value")
    named = long["column"].map(dict(enumerate(names))).astype(str)
    return long.assign(name=named, value=long["value"].astype(float))
