"""Whether a run's table is what was planned: its record against the settings of its job. No torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerwise.results.files import FileError, file_digest, made_anew, read_planned, read_record
from layerwise.results.tables import read_table


def record_of(table: Path) -> Path:
    """Where a table's record lies."""
    return table.with_name(f"{table.name}.json")


def check_run(table: Path, job: Path, digest: str) -> None:
    """Raise FileError where ``table`` is not what the job of the file ``job``, of ``digest``, makes.

    A record says which table it belongs to, by its checksum, and of which job and cells this is.
    """
    record = read_record(record_of(table))
    found = {
        (cell["problem"], cell["configuration"]["method"]["name"]): cell["configuration"]
        for cell in record.get("cells", [])
    }
    planned = dict(_planned(read_planned(job, digest)))
    if found != planned or record.get("job") != digest:
        raise FileError(
            f"{table} is of other settings than planned{_difference(found, planned)}: {made_anew(table)}"
        )
    if record.get("table") != file_digest(table):
        read_table(table)  # says so where it is damaged
        raise FileError(f"{table} is not the table that its record is of: {made_anew(table)}")


def _planned(job: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """The configuration of each cell of a job, by its problem and method."""
    for method in job:
        settings = method["settings"]
        for problem in method["problems"]:
            key = problem["problem"], settings["method"]["name"]
            yield key, settings | {"task": problem["task"]}


def _difference(found: dict[Any, dict[str, Any]], planned: dict[Any, dict[str, Any]]) -> str:
    """The first setting that is another, in words; nothing where the cells are others."""
    for key in found.keys() & planned.keys():
        ours, theirs = flat(planned[key]), flat(found[key])
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                return f" ({name} = {theirs.get(name)!r}, planned is {ours.get(name)!r})"
    return ""


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
