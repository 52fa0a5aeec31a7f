"""An experiment's results as one archive, which opens on a machine without the project. No torch."""

import io
import json
import shlex
import zipfile
from pathlib import Path
from typing import Any

from layerwise.planning.pipeline import Pipeline
from layerwise.planning.plan import ExperimentPlan
from layerwise.planning.request import Request
from layerwise.results.columns import COLLECTED, SELECTED
from layerwise.results.files import atomic_path, read_planned, read_record
from layerwise.results.provenance import check_run
from layerwise.results.tables import read_table
from layerwise.settings.selection import NOTHING
from layerwise.settings.validation import ConfigError

TABLES = {
    "summary": "a row for each run: its settings, and its metrics at the last recorded step",
    "scores": "a row for each problem, method, step size and damping: the score that selects",
    "selection": "a row for each problem and method: the step size and damping that were selected",
    "traces": "a row for each recorded step of the runs that were selected",
    "runs": "a row for each recorded step of every run",
}
# One date for all, so that the same results are the same archive.
DATE = (1980, 1, 1, 0, 0, 0)


def export(project: Path, request: Request, out: Path) -> None:
    """Write the results of a request of one experiment as a .zip. Raises ConfigError where they are not
    all there, and FileError where they are not what was planned."""
    if out.suffix != ".zip":
        raise ConfigError(f"out = {str(out)!r} is not allowed: allowed is a .zip file")
    (name,) = request.experiments
    pipeline = Pipeline(request)
    planned, command = pipeline.plans[name], _command(request, pipeline.overrides)
    results, drawn = (project / f"{kind}{request.label}" for kind in ("results", "figures"))
    tables = COLLECTED if planned.experiment.select_by == NOTHING else SELECTED
    own = {f"tables/{table}.parquet": results / name / f"{table}.parquet" for table in tables}
    figures = [figure for figure, of in pipeline.figures.items() if of.experiment == name]
    own |= {
        f"figures/{figure}.{kind}": drawn / f"{figure}.{kind}"
        for figure in figures
        for kind in ("pdf", "png", "csv")
    }
    jobs = pipeline.jobs[name]
    own |= {f"records/{job.name}.json": project / job.record for job in jobs}
    runs = [project / job.table for job in jobs]
    missing = [path for path in (*own.values(), *runs) if not path.is_file()]
    if missing:
        raise ConfigError(
            f"{name} is not exported: {missing[0].relative_to(project)} is missing, "
            f"`{command}` makes it"
        )
    read_planned(project / pipeline.plan_file(name), pipeline.plan_digest(name))
    for job in jobs:
        check_run(project / job.table, project / job.file, job.job.digest)
    records = [read_record(project / job.record) for job in jobs]
    contents = {place: path.read_bytes() for place, path in own.items()}
    for table in tables:
        text = read_table(results / name / f"{table}.parquet").to_csv(index=False)
        contents[f"tables/{table}.csv"] = text.encode()
    contents["versions.json"] = (json.dumps(_made(records), indent=2) + "\n").encode()
    contents["README.md"] = _readme(planned, command, records, tables, figures).encode()
    with atomic_path(out) as temporary:
        temporary.write_bytes(_zipped(name, contents))


def _command(request: Request, overrides: list[str]) -> str:
    """What makes the results of a request, with its overrides in one spelling."""
    words = [*request.experiments, *overrides]
    scale = [] if request.scale == "paper" else ["--scale", request.scale]
    return shlex.join(["layerwise", "reproduce", *words, *scale])


def _made(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """On which machines, at which commits and with which versions the runs were made: each once."""
    keys = ("host", "platform", "python", "commit", "versions")
    made = {
        json.dumps({key: one.get(key) for key in keys}, sort_keys=True): None for one in records
    }
    return [json.loads(one) for one in made]


def _readme(
    planned: ExperimentPlan,
    command: str,
    records: list[dict[str, Any]],
    tables: tuple[str, ...],
    figures: list[str],
) -> str:
    name = planned.experiment.name
    lines = [
        f"# {name}",
        "",
        planned.summary,
        "",
        "Made by",
        "",
        f"    {command}",
        "",
        "with " + "; ".join(_versions(one) for one in _made(records)) + ".",
        "",
        "| file | what it is |",
        "|---|---|",
        *(f"| tables/{table}.parquet, .csv | {TABLES[table]} |" for table in tables),
        *(
            f"| figures/{figure}.pdf, .png, .csv | a figure, and what it draws |"
            for figure in figures
        ),
        "| records/*.json | settings, seeds, versions and wall times of every run |",
        "| versions.json | the machines, commits and versions that made the runs |",
        "",
        "The .csv files need no program of this project, and the .parquet files any reader of Parquet.",
        "",
    ]
    return "\n".join(lines)


def _versions(made: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return f"Python {made['python']}, {packages} on {made['platform']}"


def _zipped(folder: str, contents: dict[str, bytes]) -> bytes:
    """An archive of contents by their places in a folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in sorted(contents):
            entry = zipfile.ZipInfo(f"{folder}/{place}", DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, contents[place])
    return file.getvalue()
