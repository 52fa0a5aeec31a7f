"""What decided each claim, as tables: bounds, resamples and numbers by seed, and the code behind them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from layerwise.claims.claim import Bound, Claim, Estimate, Judgement, Part
from layerwise.claims.origin import origin

# The tables, by what their names add to "claims": a row for each part of a claim, for each resample of
# a part's statistic, and for each number that a seed contributes to a part.
TABLES = ("", "_resamples", "_seeds")


def evidence(judgements: Sequence[tuple[Claim, Judgement]]) -> dict[str, pd.DataFrame]:
    """The tables, by TABLES."""
    rows, resamples, seeds = [], [], []
    for claim, judged in judgements:
        for place, (part, (estimate, verdict)) in enumerate(
            zip(claim.parts, judged.parts, strict=True)
        ):
            at: dict[str, Any] = {"claim": claim.name, "part": place}
            own = {"verdict": judged.verdict, "part_verdict": verdict}
            rows.append({**at, **own, **_row(claim, part, estimate)})
            drawn = pd.DataFrame({"value": estimate.resamples})
            resamples.append(drawn.assign(**at, resample=drawn.index))
            seeds.append(_by_seed(estimate.rows).assign(**at))
    contents = (pd.DataFrame(rows), pd.concat(resamples), pd.concat(seeds))
    return {
        name: content.reset_index(drop=True) for name, content in zip(TABLES, contents, strict=True)
    }


def _row(claim: Claim, part: Part, estimate: Estimate) -> dict[str, object]:
    made_by = part.made_by or (part.measure,)
    values, statistic = origin(made_by[0]), origin(made_by[-1])
    return {
        "statement": claim.statement,
        "source": claim.source,
        "figure": claim.figure,
        "quantity": part.quantity,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "seeds": estimate.seeds,
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
