"""Two folders of results side by side: settings that differ, verdicts that changed, what moved most."""

import math
from typing import Any

from layerwise.page.folder import Folder
from layerwise.page.forest import chip, scale, strip, tone
from layerwise.page.judged import Judged, judged_claims
from layerwise.page.text import escape, number, spaced, symbols, table

MOVED = 20  # rows of what moved most


def comparison(one: Folder, two: Folder) -> str:
    """The view of a pair, as HTML."""
    title = f'{escape(one.name)} <span class="against">against</span> {escape(two.name)}'
    return f"<h2>{title}</h2>{_settings(one, two)}{_verdicts(one, two)}{_moved(one, two)}"


def _said(folder: Folder) -> dict[str, str]:
    """What may differ between two runs, in words."""
    records = [record for own in folder.records.values() for record in own]
    said = {
        "scale": folder.about["scale"],
        "overrides": " ".join(folder.about["overrides"]) or "none",
    }
    for record in records[:1]:
        said |= {"python": record["python"], "platform": record["platform"], **record["versions"]}
        said["commit"] = record.get("commit") or "unknown"
    for name, own in folder.records.items():
        cells = [cell for record in own for cell in record["cells"]]
        if cells:
            said[f"seeds of {spaced(name)}"] = str(len(cells[0]["seeds"]))
            said[f"steps of {spaced(name)}"] = str(cells[0]["configuration"]["steps"])
            said[f"problems of {spaced(name)}"] = str(len({cell["problem"] for cell in cells}))
    return {key: str(value) for key, value in said.items()}


def _settings(one: Folder, two: Folder) -> str:
    """What differs as a table, with what differs alike in a row of its own; the rest in a line."""
    first, second = _said(one), _said(two)
    rows: dict[tuple[str, str, str], list[str]] = {}
    same = []
    for key in dict.fromkeys([*first, *second]):
        pair = first.get(key, "–"), second.get(key, "–")
        if pair[0] == pair[1]:
            same.append(f"{key} {pair[0]}" if " of " not in key else "")
        else:
            rows.setdefault((key.partition(" of ")[0], *pair), []).append(key.partition(" of ")[2])
    body = [
        [escape(what + (f" of {', '.join(of)}" if any(of) else "")), escape(a), escape(b)]
        for (what, a, b), of in rows.items()
    ]
    said = ", ".join(filter(None, same))
    head = ["differs", escape(one.name), escape(two.name)]
    differing = table(head, body) if body else "<p>No setting differs.</p>"
    return f'{differing}<p class="note">Same: {escape(said)}</p>'


def _verdicts(one: Folder, two: Folder) -> str:
    first = {claim.name: claim for claim in judged_claims(one)}
    second = {claim.name: claim for claim in judged_claims(two)}
    pairs = [(claim, second[name]) for name, claim in first.items() if name in second]
    if not pairs:
        return "<p>Claims were judged in one of them at most.</p>"
    both = [pair for pair in pairs if "not measured" not in (pair[0].verdict, pair[1].verdict)]
    both.sort(key=lambda pair: pair[0].verdict == pair[1].verdict)
    changed = sum(a.verdict != b.verdict for a, b in both)
    missing = len(pairs) - len(both)
    note = f"; {missing} claims are not measured in one of them" if missing else ""
    names = f"Upper interval: {escape(one.name)}; lower: {escape(two.name)}."
    return (
        f"<p><b>{changed}</b> of {len(both)} verdicts differ{note}. {names}</p>"
        '<table class="forest pairs" role="table" aria-label="Claims in both">'
        '<thead role="rowgroup"><tr role="row"><th role="columnheader">claim</th>'
        f'<th role="columnheader" class="axis">{scale()}</th>'
        '<th role="columnheader">value, interval</th><th role="columnheader">verdict</th></tr></thead>'
        f'<tbody role="rowgroup">{"".join(_pair(*pair) for pair in both)}</tbody></table>'
    )


def _pair(one: Judged, two: Judged) -> str:
    parts = [part for pair in zip(one.parts, two.parts, strict=False) for part in pair]
    verdicts = [word for pair in zip(one.verdicts, two.verdicts, strict=False) for word in pair]
    values = "".join(
        f"<div><b>{number(part.value)}</b> "
        f"<span>[{number(part.low)}, {number(part.high)}]</span></div>"
        for part in parts
    )
    changed = " changed" if one.verdict != two.verdict else ""
    return (
        f'<tr class="claim{changed} {tone(one.verdict)}" role="row" data-claim="{escape(one.name)}">'
        f'<th role="rowheader"><span class="id">{symbols(one.name)}</span> '
        f'<span class="statement">{symbols(one.statement)}</span></th>'
        f'<td class="plot" role="cell">{strip(parts, verdicts)}</td>'
        f'<td class="num" role="cell">{values}</td>'
        f'<td class="verdict" role="cell">{chip(one.verdict)}{chip(two.verdict)}</td></tr>'
    )


def _moved(one: Folder, two: Folder) -> str:
    """Scores of the selected choices by the ratio between the folders, the farthest from one first."""
    rows = [row for name in one.selections for row in _scores(one, two, name)]
    rows.sort(key=lambda row: -row["distance"])
    if not rows:
        return "<p>No method and problem is in both.</p>"
    body = [
        [
            symbols(f"{spaced(row['experiment'])}: {row['words']}"),
            escape(one.label(row["method"])),
            number(row["score_one"]),
            number(row["score_two"]),
            f"<b>{number(row['ratio'])}</b>",
            f"{row['lr_one']:g}"
            + (f" → {row['lr_two']:g}" if row["lr_two"] != row["lr_one"] else ""),
        ]
        for row in rows[:MOVED]
    ]
    head = ["problem", "method", escape(one.name), escape(two.name), "ratio", "step size"]
    return (
        "<h3>What moved most</h3><p class='note'>Scores at the selected step size, by which each "
        f"experiment selects; {len(rows)} pairs of method and problem are in both.</p>"
        f"{table(head, body)}"
    )


def _scores(one: Folder, two: Folder, name: str) -> list[dict[Any, Any]]:
    if name not in two.selections:
        return []
    tables = [
        folder.selections[name].assign(
            words=folder.selections[name]["problem"].astype(str).map(folder.problems[name].words)
        )
        for folder in (one, two)
    ]
    both = tables[0].merge(tables[1], on=["words", "method"], suffixes=("_one", "_two"))
    rows: list[dict[Any, Any]] = []
    for row in both.to_dict("records"):
        first, second = row["score_one"], row["score_two"]
        finite = math.isfinite(first) and math.isfinite(second) and first > 0 and second > 0
        ratio = second / first if finite else math.nan
        # One that is finite here and infinite there moved farther than any ratio says.
        gone = math.isfinite(first) != math.isfinite(second)
        distance = abs(math.log(ratio)) if finite else math.inf if gone else 0.0
        rows.append({"experiment": name, "ratio": ratio, "distance": distance, **row})
    return rows
