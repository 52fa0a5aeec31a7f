"""The page's first view: counts of verdicts, all of them at a glance, and the forest."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerwise.page.folder import Folder
from layerwise.page.forest import VERDICTS, chip, scale, strip
from layerwise.page.margins import Part
from layerwise.page.text import escape, number, symbols

BINS = 48
JUDGED = ("reproduced", "partly", "not reproduced")
GROUPS = {"paper": "The paper’s claims", "ours": "Statements of ours on what the figures show"}


@dataclass(frozen=True)
class Judged:
    """A claim with its parts, as judged on a folder's tables."""

    name: str
    rows: list[dict[Any, Any]]  # of the table of parts

    @property
    def parts(self) -> list[Part]:
        """Its statistics."""
        return [Part.of(row) for row in self.rows]

    @property
    def verdict(self) -> str:
        """On all its parts together."""
        return str(self.rows[0]["verdict"])

    @property
    def verdicts(self) -> list[str]:
        """By part, where the table has them, else the claim's."""
        return [str(row.get("part_verdict", row["verdict"])) for row in self.rows]

    @property
    def group(self) -> str:
        """Whose it is: the paper's have names with C."""
        return "paper" if self.name.startswith("C") else "ours"

    @property
    def statement(self) -> str:
        """What it says."""
        return str(self.rows[0]["statement"])

    @property
    def source(self) -> str:
        """Where it is made."""
        return str(self.rows[0]["source"])

    @property
    def figure(self) -> str:
        """What shows it."""
        return str(self.rows[0]["figure"])


def judged_claims(folder: Folder) -> list[Judged]:
    """A folder's claims in their order."""
    if not folder.claims:
        return []
    grouped = folder.claims[""].groupby("claim", sort=False)
    return [Judged(str(name), rows.to_dict("records")) for name, rows in grouped]


def counts(claims: list[Judged]) -> str:
    """How many of the paper's claims have which verdict, and each at a glance."""
    paper = [claim for claim in claims if claim.group == "paper"]
    each = {verdict: sum(claim.verdict == verdict for claim in paper) for verdict in VERDICTS}
    shown = [verdict for verdict in VERDICTS if verdict in JUDGED or each[verdict]]
    big = "".join(
        f'<div class="big {VERDICTS[verdict][0]}"><b>{each[verdict]}</b><span>{verdict}</span></div>'
        for verdict in shown
    )
    cells = "".join(_cell(claim) for claim in paper)
    label = f"The {len(paper)} statements of the paper’s claims"
    return f'<div class="bigs">{big}</div><ul class="cells" aria-label="{label}">{cells}</ul>'


def _cell(claim: Judged) -> str:
    tone, sign = VERDICTS[claim.verdict]
    title = escape(f"{claim.name}: {claim.statement} – {claim.verdict}")
    address = escape(f"#claims?open={claim.name.replace(' ', '+')}")
    return (
        f'<li><a class="cell {tone}" href="{address}" title="{title}">'
        f'<i aria-hidden="true">{sign}</i><span>{symbols(claim.name)}</span></a></li>'
    )


def forest(claims: list[Judged], folder: Folder) -> str:
    """The table: a row for each claim, and under it a closed one with what decided it."""
    rows = []
    for group, title in GROUPS.items():
        own = [claim for claim in claims if claim.group == group]
        if own:
            rows.append(
                f'<tr class="group" data-group="{group}" role="row">'
                f'<th colspan="4" role="cell">{title}</th></tr>'
            )
            rows += [_row(claim) + _detail(claim, folder) for claim in own]
    return (
        '<table class="forest" id="forest" role="table" aria-label="Claims with their intervals">'
        '<thead role="rowgroup"><tr role="row"><th role="columnheader">claim</th>'
        f'<th role="columnheader" class="axis">{scale()}</th>'
        '<th role="columnheader">value, interval, bound</th><th role="columnheader">verdict</th></tr>'
        f'</thead><tbody role="rowgroup">{"".join(rows)}</tbody></table>'
    )


def details(folder: Folder) -> str:
    """JSON for the browser: the histogram of each part's resamples with its bounds, and the numbers by
    seed."""
    content = {}
    for claim in judged_claims(folder):
        resamples, seeds = (
            table[table["claim"] == claim.name]
            for table in (folder.claims["_resamples"], folder.claims["_seeds"])
        )
        pictures = []
        for row, part, verdict in zip(claim.rows, claim.parts, claim.verdicts, strict=True):
            drawn = resamples.loc[resamples["part"] == row["part"], "value"]
            picture = _picture(part, drawn.to_numpy(dtype=float))
            pictures.append({"verdict": verdict, **picture})
        content[claim.name] = {"parts": pictures, "seeds": _wide(seeds)}
    return json.dumps(content, ensure_ascii=False)


def _picture(part: Part, drawn: np.ndarray) -> dict[str, Any]:
    """What the browser draws of a part: only finite numbers."""
    finite = drawn[np.isfinite(drawn)]
    log = any(side.log for side in part.sides) and bool((finite > 0).all())
    counts, edges = np.histogram(np.log10(finite) if log else finite, BINS)
    edges = 10.0**edges if log else edges
    known = {"value": part.value, "low": part.low, "high": part.high}
    return {
        "quantity": part.quantity,
        "log": log,
        "counts": counts.tolist() if finite.size else [],
        "edges": [float(f"{edge:.6g}") for edge in edges] if finite.size else [],
        "lost": int(drawn.size - finite.size),
        "resamples": int(drawn.size),
        "sides": [
            {"sign": side.sign, "full": side.full, "weaker": side.weaker} for side in part.sides
        ],
        **{key: float(value) if np.isfinite(value) else None for key, value in known.items()},
    }


def _wide(seeds: pd.DataFrame) -> str:
    """Numbers by seed as CSV."""
    if seeds.empty:
        return ""
    wide = seeds.pivot(index="seed", columns=["part", "column", "name"], values="value")
    return wide.set_axis(wide.columns.get_level_values("name"), axis=1).to_csv(
        float_format="%.6g", na_rep="nan"
    )


def _row(claim: Judged) -> str:
    values = "".join(
        f"<b>{number(part.value)}</b> <span>[{number(part.low, 2)}, {number(part.high, 2)}]</span>"
        f"<em>{escape(part.bounds.replace('at least', '≥').replace('at most', '≤'))}</em>"
        for part in claim.parts
    )
    return (
        f'<tr class="claim" role="row" data-claim="{escape(claim.name)}" '
        f'data-verdict="{escape(claim.verdict)}" data-group="{claim.group}">'
        f'<th role="rowheader"><button class="open" aria-expanded="false">'
        f'<span class="id">{symbols(claim.name)}</span> '
        f'<span class="statement">{symbols(claim.statement)}</span></button></th>'
        f'<td class="plot" role="cell">{strip(claim.parts, claim.verdicts)}</td>'
        f'<td class="num" role="cell">{values}</td>'
        f'<td class="verdict" role="cell">{chip(claim.verdict)}</td></tr>'
    )


def _detail(claim: Judged, folder: Folder) -> str:
    """What decided it; the picture of the resamples and the numbers by seed come with scripts."""
    several = len(claim.parts) > 1
    why = "".join(
        f'<p class="why"><b>{escape(verdict.capitalize())}.</b> '
        f"{symbols(part.quantity) + ': ' if several else ''}{escape(part.why)}{_outside(part)}</p>"
        for part, verdict in zip(claim.parts, claim.verdicts, strict=True)
    )
    codes: dict[str, str] = {}
    facts = [("Source", symbols(claim.source))]
    for row in claim.rows:
        facts.append(("Statistic", symbols(row["quantity"])))
        for word, key in (("Numbers", "numbers"), ("Reduced by", "statistic")):
            at = escape(row[f"{key}_at"])
            facts.append((word, f'<code>{escape(row[key])}</code><br><span class="at">{at}</span>'))
            codes[row[f"{key}_at"]] = row[f"{key}_code"]
    listed = "".join(f"<dt>{word}</dt><dd>{text}</dd>" for word, text in facts)
    code = escape("\n\n".join(codes.values()))
    return (
        f'<tr class="more" role="row" data-for="{escape(claim.name)}"><td colspan="4" role="cell">'
        f'<div class="detail"><div><div class="resamples"></div>{why}</div>'
        f'<div><dl>{listed}</dl><p class="acts">{_links(claim, folder)}</p></div>'
        f'<details class="code"><summary>The code that computes it</summary><pre tabindex="0">{code}</pre>'
        "</details></div></td></tr>"
    )


def _outside(part: Part) -> str:
    if np.isnan(part.value) or part.low <= part.value <= part.high:
        return ""
    return " The statistic lies outside its own interval, since resampling shifts it."


def _links(claim: Judged, folder: Folder) -> str:
    """To the figure, to the data behind it, and the numbers by seed."""
    figure = claim.figure
    links = [f'<a class="act" href="#figures?f={escape(figure)}">Figure: {escape(figure)}</a>']
    for name, said in folder.experiments.items():
        if figure in said["figures"]:
            words = ",".join({str(word): None for row in claim.rows for word in row["words"]})
            address = escape(f"#explore?e={name}&about={words}")
            links.insert(0, f'<a class="act" href="{address}">Explore its data</a>')
    links.append('<button class="act js" data-do="seeds">Numbers by seed (CSV)</button>')
    return "".join(links)
