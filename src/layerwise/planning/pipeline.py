"""The pipeline's jobs and files: what is run, where it lies, what overrides leave alone. No torch.

A job with overrides that is also one of the experiment as it stands, without them, is that job: its table
lies in the results without overrides and is read there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from layerwise.planning.compose import options
from layerwise.planning.drawing import file_name, reads_of
from layerwise.planning.identity import before_runs, label_of, words_of
from layerwise.planning.jobs import Job, json_lines
from layerwise.planning.overrides import read
from layerwise.planning.plan import ExperimentPlan, plan
from layerwise.planning.request import Request
from layerwise.planning.sources import code_of
from layerwise.results.files import canonical, digest_of, digest_of_text, write_if_other
from layerwise.results.folders import TOLD
from layerwise.settings.validation import ConfigError


@dataclass(frozen=True)
class Instances:
    """A part of an experiment's instances: those that some of its jobs share."""

    folder: str  # RESULTS/EXPERIMENT
    name: str
    problems: tuple[str, ...]  # canonical JSON of each

    @property
    def file(self) -> str:
        """Its problems, as JSON."""
        return f"{self.folder}/instances/{self.name}.json"

    @property
    def drawn(self) -> str:
        """What is drawn of them."""
        return f"{self.folder}/instances/{self.name}.npz"

    @property
    def text(self) -> str:
        """The content of its file."""
        return json_lines(self.problems) + "\n"

    @property
    def digest(self) -> str:
        """Of its problems."""
        return digest_of_text(f"[{','.join(self.problems)}]")

    @property
    def code(self) -> str:
        """The digest of the code that draws it."""
        problems = [json.loads(problem) for problem in self.problems]
        spectra = {f"layerwise.data.spectra.{problem['spectrum']}" for problem in problems}
        return code_of("layerwise.data.instances", *sorted(spectra))


@dataclass(frozen=True)
class Placed:
    """A job, where its files lie, and the instances that it reads, if it does not draw its own."""

    folder: str  # RESULTS/EXPERIMENT
    name: str  # METHOD-PART
    job: Job
    instances: Instances | None

    @property
    def file(self) -> str:
        """What it runs, as JSON."""
        return f"{self.folder}/jobs/{self.name}.json"

    @property
    def table(self) -> str:
        """What it writes; its record lies beside it."""
        return f"{self.folder}/runs/{self.name}.parquet"

    @property
    def record(self) -> str:
        """What it says of its table."""
        return f"{self.table}.json"


class Drawing(NamedTuple):
    """A figure of an experiment, and the reduced tables that it draws."""

    figure: str
    experiment: str
    tables: tuple[str, ...]


class Pipeline:
    """All jobs and figures of a request. Raises ConfigError with one sentence."""

    def __init__(self, request: Request) -> None:
        self.plans = request.plans()
        self.label = request.label
        self.overrides = _words(request, request.effects, list(self.plans))
        self._told = {self.label: _told(request, self.overrides)}
        self.jobs = {}
        for name, planned in self.plans.items():
            changed = _changed_runs(name, request)
            words = _words(request, changed, [name])
            self._told.setdefault(label_of(request.scale, changed), _told(request, words))
            self.jobs[name] = _placed(planned, request, changed)
        every = [placed for jobs in self.jobs.values() for placed in jobs]
        self._jobs = {(placed.folder, placed.name): placed for placed in every}
        parts = [placed.instances for placed in every if placed.instances is not None]
        self._instances = {(part.folder, part.name): part for part in parts}
        self.figures = {
            file_name(figure, name): Drawing(figure, name, tuple(reads_of(figure).tables))
            for name, planned in self.plans.items()
            for figure in planned.experiment.figures
        }

        self.claims = _claims(list(self.plans))
        self.note = _note(request)

    def job(self, folder: str, name: str) -> Placed:
        """The job of a name in RESULTS/EXPERIMENT. Raises KeyError where there is none."""
        return self._jobs[folder, name]

    def instances(self, folder: str, name: str) -> Instances:
        """The part of a name in RESULTS/EXPERIMENT. Raises KeyError where there is none."""
        return self._instances[folder, name]

    def plan_file(self, experiment: str) -> str:
        """What an experiment's tables are, and how they are reduced, as JSON."""
        return f"results{self.label}/{experiment}/plan.json"

    def plan_digest(self, experiment: str) -> str:
        """Of that file's content."""
        return digest_of(self._plan(experiment))

    def _plan(self, experiment: str) -> dict[str, Any]:
        jobs = [
            {"digest": one.job.digest, "file": one.file, "table": one.table}
            for one in self.jobs[experiment]
        ]
        return {"jobs": jobs, "reduction": self.plans[experiment].reduction}

    def write_files(self) -> None:
        """Write the files of jobs, parts and plans that are not as they should be, and into each folder
        which overrides it is of. Raises FileError."""
        for label, told in self._told.items():
            kinds = ("results", "figures") if label == self.label else ("results",)
            for kind in kinds if label else ():
                write_if_other(told, Path(f"{kind}{label}", TOLD))
        for placed in self._jobs.values():
            write_if_other(placed.job.text, Path(placed.file))
        for part in self._instances.values():
            write_if_other(part.text, Path(part.file))
        for experiment in self.plans:
            plan = self._plan(experiment)
            jobs, reduction = json_lines(map(canonical, plan["jobs"])), canonical(plan["reduction"])
            text = f'{{"jobs":{jobs},"reduction":{reduction}}}\n'
            write_if_other(text, Path(self.plan_file(experiment)))


def _changed_runs(experiment: str, request: Request) -> dict[str, Any]:
    """What the overrides change of an experiment's runs, by keys."""
    return before_runs(request.effects_on((experiment,)))


def _words(request: Request, found: dict[str, Any], names: list[str]) -> list[str]:
    """Effects of a request's overrides on experiments, in one spelling."""
    return words_of(found, read(request.overrides), names, request.scale)


def _told(request: Request, overrides: list[str]) -> str:
    """What a folder's name stands for, as JSON: a scale, and overrides in one spelling."""
    return json.dumps({"scale": request.scale, "overrides": overrides}, indent=2) + "\n"


def _placed(planned: ExperimentPlan, request: Request, changed: dict[str, Any]) -> list[Placed]:
    """An experiment's jobs, each where it lies: in the folder of what is ``changed`` of its runs, so that
    requests that differ in what does not concern these share them."""
    name = planned.experiment.name
    folder = _folder(name, request.scale, changed)
    if not changed:
        return _in_folder(folder, planned, request.cells_per_job, {})
    try:
        as_it_stands = plan(name, request.scale)
    except ConfigError:  # it cannot be run without overrides
        return _in_folder(folder, planned, request.cells_per_job, {})
    standing = _in_folder(_folder(name, request.scale, {}), as_it_stands, request.cells_per_job, {})
    return _in_folder(
        folder, planned, request.cells_per_job, {placed.name: placed for placed in standing}
    )


def _folder(experiment: str, scale: str, changed: dict[str, Any]) -> str:
    return f"results{label_of(scale, changed)}/{experiment}"


def _in_folder(
    folder: str, planned: ExperimentPlan, cells_per_job: int, standing: Mapping[str, Placed]
) -> list[Placed]:
    """An experiment's jobs in a folder, but for those that are ``standing`` elsewhere."""
    parts = {one.instances.problems: one.instances for one in standing.values() if one.instances}
    own = 0
    placed = []
    for (method, part), job in planned.jobs(cells_per_job).items():
        name = f"{method}-{part}"
        if name in standing and standing[name].job.digest == job.digest:
            placed.append(standing[name])
            continue
        if job.instances and job.instances not in parts:
            parts[job.instances] = Instances(folder, str(own), job.instances)
            own += 1
        placed.append(Placed(folder, name, job, parts.get(job.instances)))
    return placed


def _claims(experiments: list[str]) -> str:
    """The name of the table of claims: of all experiments "claims", of some one that names them."""
    if set(experiments) == set(options("experiment")):
        return "claims"
    name = "-".join(["claims", *sorted(experiments)])
    # A file's name has 255 letters at most, with Snakemake's own around it.
    return name if len(name) <= 150 else f"claims-{len(experiments)}-experiments-{digest_of(name)}"


def _note(request: Request) -> str:
    """What readers of the claims should know of what was run; nothing of the paper's as they stand."""
    said = []
    if request.scale != "paper":
        said.append(
            f"The scale {request.scale} judges nothing: it has too few seeds, steps and problems for a "
            "verdict, and shows that everything runs."
        )
    if request.overrides:
        said.append("It was run with overrides: settings.json beside this page has them.")
    return " ".join(said)
