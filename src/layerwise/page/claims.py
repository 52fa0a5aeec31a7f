"""The page's first view: counts of verdicts, all of them at a glance, and the forest."""

from layerwise.page.decided import detail
from layerwise.page.explained import in_other_words
from layerwise.page.folder import Folder
from layerwise.page.forest import VERDICTS, chip, scale, strip
from layerwise.page.judged import Judged
from layerwise.page.text import escape, number, symbols

JUDGED = ("reproduced", "partly", "not reproduced")
EXPECTED_TO_FAIL = "expected to fail"  # in a statement
GROUPS = {"paper": "The paper’s claims", "ours": "Statements of ours on what the figures show"}


def counts(claims: list[Judged]) -> str:
    """How many claims have which verdict, and each at a glance: the paper's, and ours apart."""
    return "".join(
        _counted(title, own)
        for group, title in GROUPS.items()
        if (own := [claim for claim in claims if claim.group == group])
    )


def _counted(title: str, claims: list[Judged]) -> str:
    each = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in VERDICTS}
    shown = [verdict for verdict in VERDICTS if verdict in JUDGED or each[verdict]]
    big = "".join(
        f'<div class="big {VERDICTS[verdict][0]}"><b>{each[verdict]}</b><span>{verdict}</span></div>'
        for verdict in shown
    )
    cells = "".join(_cell(claim) for claim in claims)
    return (
        f'<div class="hero"><h2>{title}: {len(claims)}</h2><div class="bigs">{big}</div>'
        f'<ul class="cells" aria-label="{title}">{cells}</ul></div>'
    )


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
            rows += [_row(claim) + detail(claim, folder) for claim in own]
    return (
        '<table class="forest" id="forest" role="table" aria-label="Claims with their intervals">'
        '<thead role="rowgroup"><tr role="row"><th role="columnheader">claim</th>'
        f'<th role="columnheader" class="axis">{scale()}</th>'
        '<th role="columnheader">value, interval, bound</th><th role="columnheader">verdict</th></tr>'
        f'</thead><tbody role="rowgroup">{"".join(rows)}</tbody></table>'
    )


def _row(claim: Judged) -> str:
    values = "".join(
        f"<div><b>{number(part.value)}</b> <span>[{number(part.low)}, {number(part.high)}]</span>"
        f"<em>{', '.join(side.short for side in part.sides) or 'no bound'}</em></div>"
        for part in claim.parts
    )
    return (
        f'<tr class="claim" role="row" data-claim="{escape(claim.name)}" '
        f'data-verdict="{escape(claim.verdict)}" data-group="{claim.group}">'
        f'<th role="rowheader"><button class="open" aria-expanded="false">'
        f'<span class="id">{symbols(claim.name)}</span> '
        f'<span class="statement">{symbols(claim.statement)}{in_other_words(claim.name)}</span>'
        "</button></th>"
        f'<td class="plot" role="cell">{strip(claim.parts, claim.verdicts)}</td>'
        f'<td class="num" role="cell">{values}</td>'
        f'<td class="verdict" role="cell">{chip(claim.verdict)}{_foreseen(claim)}</td></tr>'
    )


def _foreseen(claim: Judged) -> str:
    """Whether a claim that was expected to fail did."""
    if EXPECTED_TO_FAIL not in claim.statement or claim.verdict not in JUDGED:
        return ""
    failed = claim.verdict == "not reproduced"
    return f'<span class="note">{"as expected" if failed else "against what we expected"}</span>'
