"""Pages of the report: tables as HTML that opens offline, and what every run's record says. No torch."""

import html
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.results.files import FileError, read_planned, read_record
from layerwise.results.provenance import record_of

STYLE = """
body { font: 14px/1.4 sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .3em .6em; text-align: left;
vertical-align: top; border-bottom: 1px solid #ddd } th { border-bottom: 2px solid #888 }
"""


def page(title: str, parts: Sequence[str | pd.DataFrame]) -> str:
    """An HTML page of paragraphs and tables."""
    body = [
        f"<p>{html.escape(part)}</p>"
        if isinstance(part, str)
        else part.to_html(index=False, border=0, na_rep="")
        for part in parts
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f"<!doctype html>\n{head}\n<h1>{html.escape(title)}</h1>\n" + "\n".join(body) + "\n"


def runs_page(records: Iterable[Path]) -> str:
    """What was run, from the records beside the run tables, RESULTS/EXPERIMENT/runs/*.json: settings,
    versions and wall times."""
    rows, made = [], {}
    for path in records:
        record = read_record(path)
        made[f"{record['host']}, {record['platform']}, Python {record['python']}"] = record[
            "versions"
        ]
        methods: dict[str, list[dict[str, Any]]] = {}
        for cell in record["cells"]:
            methods.setdefault(cell["configuration"]["method"]["name"], []).append(cell)
        for cells in methods.values():
            rows.append({"experiment": path.parents[1].name, **_method(cells)})
    versions = [
        f"{where}: " + ", ".join(f"{k} {v}" for k, v in of.items()) for where, of in made.items()
    ]
    return page("What was run", [*versions, pd.DataFrame(rows)])


def _method(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """One row for a method's cells: what they share, and their number and total time."""
    configuration = cells[0]["configuration"]
    method = configuration["method"]
    keys = ("engine", "steps", "record_every", "stop_at", "dtype", "device")
    return {
        "method": method["name"],
        "rule": method["rule"],
        "network": method["network"],
        "step sizes": ", ".join(f"{value:g}" for value in method["lr"]),
        "dampings": ", ".join(f"{value:g}" for value in method["damping"]),
        "options": ", ".join(f"{key} = {value}" for key, value in method["options"].items()),
        "settings": ", ".join(f"{key} = {configuration[key]}" for key in keys),
        "problems": len(cells),
        "seeds": len(cells[0]["seeds"]),
        "seconds": round(sum(cell["wall_seconds"] for cell in cells), 1),
    }


def records_of(plans: list[Path]) -> Iterator[Path]:
    """The record of each run of the plans, and of those of the other experiments in their folder, as far
    as these were run: a call for one experiment keeps the others on the page."""
    for plan in sorted(plans[0].parents[1].glob("*/plan.json")):
        yield from _of(plan) if plan in plans else filter(_is_whole, _of_another(plan))


def _of(plan: Path) -> list[Path]:
    return [record_of(Path(job["table"])) for job in read_planned(plan, None)["jobs"]]


# What another call left and cannot be read is no reason to fail this one.


def _of_another(plan: Path) -> list[Path]:
    try:
        return _of(plan)
    except (OSError, FileError):
        return []


def _is_whole(record: Path) -> bool:
    try:
        read_record(record)
    except (OSError, FileError):
        return False
    return True
