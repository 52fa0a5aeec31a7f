"""What was run: time, grids, choices, versions, commit."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from layerwise.page.folder import Folder
from layerwise.page.text import escape, grid, spaced, span, symbols, table

SHARED = ("engine", "steps", "record_every", "stop_at", "dtype", "device")


def runs(folder: Folder) -> str:
    """The view, as HTML: an entry for each experiment, the longest first."""
    times = {name: sum(_seconds(records)) for name, records in folder.records.items()}
    longest = max(times.values(), default=0.0) or 1.0
    order = sorted(times, key=lambda name: -times[name])
    entries = "".join(_experiment(folder, name, times[name] / longest) for name in order)
    total = sum(times.values())
    minutes = f"{total / 60:.0f} minutes" if total >= 90 else f"{total:.0f} seconds"
    return (
        f'<p class="lead"><b>{minutes}</b> of simulation, {len(times)} experiments.</p>'
        f"{_where(folder)}{entries}"
    )


def _seconds(records: list[dict[str, Any]]) -> Iterator[float]:
    for record in records:
        yield from (cell["wall_seconds"] for cell in record["cells"])


def _where(folder: Folder) -> str:
    """Hosts, versions and commits: one line where all runs agree."""
    hosts: dict[str, None] = {}
    for records in folder.records.values():
        for record in records:
            made = f"{record['host']}, {record['platform']}, Python {record['python']}"
            versions = ", ".join(
                f"{name} {version}" for name, version in record["versions"].items()
            )
            hosts[
                f"<p><b>{escape(made)}</b><br>{escape(_commit(record))}{escape(versions)}</p>"
            ] = None
    return f'<div class="hosts">{"".join(hosts)}</div>'


def _commit(record: dict[str, Any]) -> str:
    return f"commit {record['commit']}; " if record.get("commit") else ""


def _experiment(folder: Folder, name: str, share: float) -> str:
    records = folder.records[name]
    cells = [cell for record in records for cell in record["cells"]]
    methods: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        methods.setdefault(cell["configuration"]["method"]["name"], []).append(cell)
    problems = len({cell["problem"] for cell in cells})
    seeds = max((len(cell["seeds"]) for cell in cells), default=0)
    first = cells[0]["configuration"] if cells else {}
    shared = [f"{spaced(key)} = {first[key]}" for key in SHARED if key in first]
    said = "; ".join([", ".join(shared), *_seeds(cells)])
    rows = [_method(folder, method, own) for method, own in methods.items()]
    head = ["method", "rule", "network", "step sizes", "dampings", "options", "seconds"]
    size = " × ".join(
        f"{count} {word}{'s' * (count != 1)}"
        for count, word in ((len(methods), "method"), (problems, "problem"), (seeds, "seed"))
    )
    return (
        f'<details class="run"><summary><span class="name">{escape(spaced(name))}</span>'
        f'<svg class="time" width="100%" height="12" aria-hidden="true">'
        f'<rect width="{100 * share:.2f}%" height="12"/></svg>'
        f'<span class="seconds">{sum(cell["wall_seconds"] for cell in cells):.0f} s</span>'
        f'<span class="size">{size}</span></summary>'
        f"<p>{symbols(folder.experiments[name]['question'])}</p>"
        f'<p class="note">{escape(said)}</p>{table(head, rows)}{_choices(folder, name)}</details>'
    )


def _seeds(cells: list[dict[str, Any]]) -> Iterator[str]:
    """Which seeds report, and on which others step sizes were chosen."""
    reporting = {span(cell["seeds"]) for cell in cells}
    tuning = {span(cell["configuration"].get("tune_seeds") or []) for cell in cells} - {""}
    yield f"seeds that report: {' and '.join(sorted(reporting))}"
    if tuning:
        yield f"step sizes and dampings chosen on seeds {' and '.join(sorted(tuning))}"


def _method(folder: Folder, name: str, cells: list[dict[str, Any]]) -> list[str]:
    method = cells[0]["configuration"]["method"]
    options = ", ".join(f"{key} = {value}" for key, value in method["options"].items())
    return [
        escape(folder.label(name)),
        f"<code>{escape(method['rule'])}</code>",
        escape(method["network"]),
        grid(method["lr"]),
        grid(method["damping"]),
        escape(options) or "–",
        f"{sum(cell['wall_seconds'] for cell in cells):.1f}",
    ]


def _choices(folder: Folder, name: str) -> str:
    """The selected step size, and damping, of each method on each problem."""
    if name not in folder.selections:
        return ""
    chosen = folder.selections[name].assign(
        shown=lambda rows: [_chosen(row) for row in rows.to_dict("records")]
    )
    wide = chosen.pivot(index="problem", columns="method", values="shown")
    wide = wide.loc[chosen["problem"].unique(), chosen["method"].unique()]
    words = folder.problems[name].words
    rows = [
        [symbols(words[str(problem)]), *map(str, line)]
        for problem, line in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    head = ["problem", *(escape(folder.label(method)) for method in map(str, wide))]
    return (
        "<h3>Selected step sizes</h3><p class='note'>With a damping after λ; ⚑: at the edge of its grid."
        f"</p>{table(head, rows)}"
    )


def _chosen(row: dict[Any, Any]) -> str:
    damping = f", λ {row['damping']:g}" if row["damping"] else ""
    edge = " ⚑" if row["lr_at_edge"] or row["damping_at_edge"] else ""
    lr = "–" if pd.isna(row["lr"]) else f"{row['lr']:g}"
    return f"{lr}{damping}{edge}"
