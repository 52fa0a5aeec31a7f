"""What decided a claim: its resamples, a sentence for each part, its cases, numbers by seed, and code."""

import json

import numpy as np
import pandas as pd

from layerwise.page.cases import Case, cases_of
from layerwise.page.explained import decided_by, definitions
from layerwise.page.folder import Folder
from layerwise.page.judged import Judged, judged_claims
from layerwise.page.margins import Part
from layerwise.page.resamples import picture
from layerwise.page.text import escape, number, symbols, table


def detail(claim: Judged, folder: Folder) -> str:
    """The row under a claim's."""
    codes: dict[str, str] = {}
    facts = [("Source", symbols(claim.source))]
    for row in claim.rows:
        facts.append(("Statistic", symbols(row["quantity"])))
        for word, key in (("Numbers", "numbers"), ("Reduced by", "statistic")):
            at = escape(row[f"{key}_at"])
            facts.append((word, f'<code>{escape(row[key])}</code><br><span class="at">{at}</span>'))
            codes[row[f"{key}_at"]] = row[f"{key}_code"]
    facts += [("Meaning", text) for text in definitions([part.quantity for part in claim.parts])]
    listed = "".join(f"<dt>{word}</dt><dd>{text}</dd>" for word, text in facts)
    code = escape("\n\n".join(codes.values()))
    return (
        f'<tr class="more" role="row" data-for="{escape(claim.name)}"><td colspan="4" role="cell">'
        f'<div class="detail"><div>{decided_by(claim.name)}{_parts(claim, folder)}</div>'
        f'<div><dl>{listed}</dl><p class="acts">{_links(claim, folder)}</p></div>'
        '<details class="code"><summary>The code that computes it; its places are in the project’s folder'
        f'</summary><pre tabindex="0">{code}</pre></details></div></td></tr>'
    )


def _parts(claim: Judged, folder: Folder) -> str:
    """Each part with its verdict, why, its picture, and its cases."""
    resamples = folder.claims["_resamples"]
    resamples = resamples[resamples["claim"] == claim.name]
    shown = []
    for place, (part, verdict) in enumerate(zip(claim.parts, claim.verdicts, strict=True)):
        drawn = resamples.loc[resamples["part"] == place, "value"].to_numpy(dtype=float)
        of = f"{symbols(part.quantity)}: " if len(claim.parts) > 1 else ""
        shown.append(
            f'<p class="why"><b>{escape(verdict.capitalize())}.</b> {of}{escape(part.why)}'
            f"{_outside(part)}</p>{_cases(part, cases_of(claim, place, folder))}"
            f"{picture(part, drawn, verdict)}"
        )
    return "".join(shown)


def _cases(part: Part, cases: list[Case]) -> str:
    """Of a statistic that is an extreme over cases, which decides, and what the others give."""
    ordered = sorted((case for case in cases if np.isfinite(case.alone)), key=lambda c: c.alone)
    if len(ordered) < 2 or not np.isfinite(part.value):
        return ""
    decides = min(ordered, key=lambda case: abs(case.alone - part.value))
    most = "largest" if decides is ordered[-1] else "smallest"
    rows = [[symbols(case.name), number(case.alone)] for case in reversed(ordered)]
    return (
        f"<p>It is the {most} of {len(ordered)} cases, from {number(ordered[0].alone)} to "
        f"{number(ordered[-1].alone)}; this one decides: {symbols(decides.name)}.</p>"
        f"<details><summary>All cases</summary>{table(['case', 'alone'], rows)}</details>"
    )


def _outside(part: Part) -> str:
    if np.isnan(part.value) or part.low <= part.value <= part.high:
        return ""
    return " The statistic lies outside its own interval, since resampling shifts it."


def _links(claim: Judged, folder: Folder) -> str:
    """To the figure, to the data behind it, and the numbers by seed."""
    figure = claim.figure
    links = [f'<a class="act" href="#figure-{escape(figure)}">Figure: {escape(figure)}</a>']
    if name := folder.shown_by.get(figure):
        words = ",".join({str(word): None for row in claim.rows for word in row["words"]})
        address = escape(f"#explore?e={name}&{claim.view or f'about={words}'}")
        links.insert(0, f'<a class="act js" href="{address}">Explore its data</a>')
    links.append('<button class="act js" data-do="seeds">Numbers by seed (CSV)</button>')
    return "".join(links)


def numbers_by_seed(folder: Folder) -> str:
    """JSON for the browser: of each claim the numbers by seed as CSV."""
    content = {claim.name: _csv(claim, folder) for claim in judged_claims(folder)}
    return json.dumps(content, ensure_ascii=False)


def _csv(claim: Judged, folder: Folder) -> str:
    """A row for each part, case and seed."""
    rows = [
        case.values.rename("value").reset_index().assign(statistic=part.quantity, case=case.name)
        for place, part in enumerate(claim.parts)
        for case in cases_of(claim, place, folder)
    ]
    if not rows:
        return ""
    columns = ["statistic", "case", "seed", "value"]
    return pd.concat(rows)[columns].to_csv(index=False, float_format="%.6g", na_rep="nan")
