"""A folder of results as the page sees it: what was run, its tables, claims, figures and records."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.claims.evidence import TABLES
from layerwise.page.problems import Problems, problems_of
from layerwise.results.files import FileError, read_planned, read_record
from layerwise.results.provenance import record_of
from layerwise.results.tables import read_table

ABOUT = "about"  # and the part, and .json
FULL_SCALE = "paper"
REDUCED = ("summary.parquet", "runs.parquet")


@dataclass(frozen=True)
class Folder:
    """PROJECT/results/NAME, and its figures; ``name`` is what readers call it. ``part`` is what the names
    of files end in that are of some experiments only."""

    name: str
    results: Path
    project: Path
    part: str = ""

    @property
    def figures(self) -> Path:
        """The folder of its figures."""
        return self.project / "figures" / self.results.relative_to(self.project / "results")

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the pipeline says of it: scale, overrides, labels of methods, and experiments with their
        question, rule of selection, figures and captions; what tables tell where it says nothing."""
        path = self.results / f"{ABOUT}{self.part}.json"
        said = [path] if path.exists() else sorted(self.results.glob(f"{ABOUT}*.json"))
        names = sorted(
            {path.parent.name for name in REDUCED for path in self.results.glob(f"*/{name}")}
        )
        unsaid: dict[str, Any] = {"question": "", "caption": "", "select_by": None, "figures": {}}
        about: dict[str, Any] = {
            "scale": FULL_SCALE if self.results.name == "results" else self.results.name,
            "overrides": [],
            "labels": {},
            "experiments": {} if said else {name: unsaid for name in names},
        }
        for one in map(_read, said):
            merged = {key: about[key] | one[key] for key in ("labels", "experiments")}
            about |= one | merged
        return about

    @property
    def judges(self) -> bool:
        """Whether its verdicts count: those of a small scale do not."""
        return bool(self.about["scale"] == FULL_SCALE)

    @property
    def experiments(self) -> dict[str, dict[str, Any]]:
        """What is said of each experiment whose tables are there, in the order in which the claims take
        up their figures."""
        said: dict[str, dict[str, Any]] = self.about["experiments"]
        there = [
            name
            for name in said
            if any((self.results / name / table).exists() for table in REDUCED)
        ]
        shown = list(self.claims[""]["figure"].unique()) if self.claims else []

        def place(name: str) -> int:
            return min(
                (shown.index(f) for f in said[name]["figures"] if f in shown), default=len(shown)
            )

        return {name: said[name] for name in sorted(there, key=place)}

    @cached_property
    def shown_by(self) -> dict[str, str]:
        """Whose data a figure shows: experiments by figure."""
        return {
            figure: name for name, said in self.experiments.items() for figure in said["figures"]
        }

    @cached_property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        """The records of each experiment's runs, as far as these are there."""
        return {
            name: [read_record(path) for path in self._record_paths(name) if path.exists()]
            for name in self.experiments
        }

    @property
    def commit(self) -> str | None:
        """Of the program that ran, where all records agree."""
        commits = {record.get("commit") for own in self.records.values() for record in own}
        return commits.pop() if len(commits) == 1 else None

    def configurations(self, name: str) -> list[dict[str, Any]]:
        """Of each run of an experiment."""
        return [cell["configuration"] for record in self.records[name] for cell in record["cells"]]

    def limits(self, name: str) -> dict[str, Any]:
        """How many iterations an experiment's runs have at most, and the target at which they stop: None
        where runs differ, or do not stop."""
        limits = {}
        for key in ("steps", "stop_at"):
            found = {one.get(key) for one in self.configurations(name)}
            limits[key] = found.pop() if len(found) == 1 else None
        return limits

    def _record_paths(self, name: str) -> list[Path]:
        """Those that the experiment's plan names, of which some may lie with the results without
        overrides; without a plan those that are there."""
        plan = self.results / name / "plan.json"
        if not plan.exists():
            return sorted((self.results / name / "runs").glob("*.parquet.json"))
        return [record_of(self.project / job["table"]) for job in read_planned(plan, None)["jobs"]]

    @cached_property
    def claims(self) -> dict[str, pd.DataFrame]:
        """The tables of evidence, by their names; none where no claims were judged."""
        paths = {name: self.results / f"claims{self.part}{name}.parquet" for name in TABLES}
        if not all(path.exists() for path in paths.values()):
            return {}
        return {name: read_table(path) for name, path in paths.items()}

    @cached_property
    def selections(self) -> dict[str, pd.DataFrame]:
        """The selected step sizes and dampings of each experiment that selects any."""
        paths = {name: self.results / name / "selection.parquet" for name in self.experiments}
        return {name: read_table(path) for name, path in paths.items() if path.exists()}

    @cached_property
    def problems(self) -> dict[str, Problems]:
        """Each experiment's problems."""
        return {
            name: problems_of(
                read_table(
                    next(
                        path for table in REDUCED if (path := self.results / name / table).exists()
                    )
                )
            )
            for name in self.experiments
        }

    def label(self, method: str) -> str:
        """What readers call a method."""
        return str(self.about["labels"].get(method, method))


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def folder_of(results: Path, part: str = "") -> Folder:
    """The folder PROJECT/results/NAME, or a part of it. Raises FileError where it has no tables."""
    parts = results.resolve().parts
    if "results" not in parts:
        raise FileError(f"{results} is not a folder of results: those lie under results/")
    root = len(parts) - 1 - parts[::-1].index("results")
    name = "/".join(parts[root + 1 :]) or FULL_SCALE
    found = Folder(name, Path(*parts), Path(*parts[:root]), part)
    if not found.experiments:
        raise FileError(f"{results} has no tables: `layerwise reproduce` makes them")
    return found
