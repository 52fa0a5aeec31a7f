"""The claims table: what the paper says, and statements of ours, measured. No torch.

A new claim is one entry in one of the files ``study_*.py``.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.claims.claim import Claim, Judgement, Results, judge
from layerwise.claims.evidence import evidence
from layerwise.claims.study import REGISTERED, STUDY
from layerwise.results.files import atomic_path
from layerwise.results.pages import page
from layerwise.results.tables import read_table, write_table

INTERVAL = (
    "Each part's statistic with its 95 % bootstrap interval over seeds that tuned nothing. A part is "
    "reproduced where the whole interval meets the bound, partly where it meets the weaker bound (in "
    "brackets); a claim is as good as its worst part. Statistics and bounds were fixed in commit "
    f"{REGISTERED}, before the first run on these seeds."
)
CLAIMS: tuple[Claim, ...] = tuple(entry.claim for entry in STUDY)


def table(results: Results) -> pd.DataFrame:
    """One row for each part of each claim: what it says, what was measured, and the verdicts of the part
    and of the claim."""
    return _table([(claim, judge(claim, results)) for claim in CLAIMS])


def _table(judgements: list[tuple[Claim, Judgement]]) -> pd.DataFrame:
    rows = []
    for claim, judged in judgements:
        for part, (estimate, verdict) in zip(claim.parts, judged.parts, strict=True):
            rows.append(
                {
                    "claim": claim.name,
                    "statement": claim.statement,
                    "source": claim.source,
                    "quantity": part.quantity,
                    "value": estimate.value,
                    "low": estimate.low,
                    "high": estimate.high,
                    "seeds": estimate.seeds,
                    "threshold": str(part.threshold),
                    "partly": str(part.partly),
                    "part": verdict,
                    "verdict": judged.verdict,
                    "figure": claim.figure,
                }
            )
    return pd.DataFrame(rows)


def markdown(judged: pd.DataFrame, note: str = "") -> str:
    """The table for readers, with a count of verdicts above, and a note on what was run."""
    lines = [
        "# Claims",
        "",
        *([f"**{note}**", ""] if note else []),
        _counted(judged, "C", "statements that make up the paper's claims C1 to C10"),
        "",
        _counted(judged, "R", "statements of ours"),
        "",
        INTERVAL,
        "",
        "| claim | statement | source | measured | value | bound | verdict | figure |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in judged.to_dict("records"):
        lines.append("| " + " | ".join(_cells(row)) + " |")
    return "\n".join(lines) + "\n"


def summary(judged: pd.DataFrame) -> str:
    """The verdicts in a few lines, for the README: the paper's claims, what of them is not reproduced,
    and, apart, our own."""
    parts = judged[judged["claim"].str.startswith("C")]
    lines = [_counted(judged, "C", "statements that make up the paper's claims C1 to C10"), ""]
    for row in parts[parts["part"] != "reproduced"].to_dict("records"):
        interval = f"[{row['low']:.2g}, {row['high']:.2g}]"
        measured = f"{row['quantity']}: {row['value']:.2g} {interval}"
        lines.append(f"- {row['part']}: {row['statement']} ({row['claim']}; {measured})")
    ours = judged[judged["claim"].str.startswith("R")].drop_duplicates("claim")
    lines += ["", _counted(judged, "R", "statements of ours"), ""]
    for verdict, own in ours.groupby("verdict", sort=False):
        said = "; ".join(f"{row['statement']} ({row['claim']})" for row in own.to_dict("records"))
        lines.append(f"- {verdict}: {said}.")
    return "\n".join(lines) + "\n"


def _counted(judged: pd.DataFrame, letter: str, words: str) -> str:
    """How many claims of a kind have which verdict, as a sentence."""
    own = judged[judged["claim"].str.startswith(letter)].drop_duplicates("claim")
    counts = own["verdict"].value_counts()
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"Of {len(own)} {words}: **{verdicts}**."


def _cells(row: dict[Any, Any]) -> list[str]:
    """A part's row in Markdown."""
    value = "{value:.3g} [{low:.3g}, {high:.3g}]".format(**row).replace("nan [nan, nan]", "")
    words = [row["claim"], row["statement"], row["source"], row["quantity"]]
    weaker = row["partly"].removeprefix("at least ").removeprefix("at most ")
    return [
        *(word.replace("|", r"\|") for word in words),
        value,
        f"{row['threshold']} ({weaker})",
        f"**{row['part']}**",
        row["figure"],
    ]


def write(paths: list[Path], csv: Path, readable: Path, report: Path, note: str = "") -> None:
    """Judge all claims on the reduced tables ``paths``, RESULTS/EXPERIMENT/NAME.*; write the table for
    programs, for readers (.md), and for the report (.html), with a note on what was run; beside the first,
    what decided each claim."""
    results: Results = {}
    for path in paths:
        results.setdefault(path.parent.name, {})[path.stem] = read_table(path)
    judgements = [(claim, judge(claim, results)) for claim in CLAIMS]
    judged = _table(judgements)
    write_table(judged, csv)
    for name, content in evidence(judgements).items():
        write_table(content, csv.with_name(f"{csv.stem}{name}.parquet"))
    with atomic_path(readable) as temporary:
        temporary.write_text(markdown(judged, note), encoding="utf-8")
    with atomic_path(report) as temporary:
        temporary.write_text(
            page("Claims", [*([note] if note else []), INTERVAL, judged]), encoding="utf-8"
        )
