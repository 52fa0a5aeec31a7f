"""What an experiment would run, in words: its configuration, its size, what is due, how long it takes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from layerwise.command.catalogue import about
from layerwise.command.estimate import Earlier, estimate, runs
from layerwise.command.snakemake import Due
from layerwise.planning.plan import ExperimentPlan
from layerwise.settings.selection import NOTHING, SELECTIONS

# Snakemake's reasons for a job, by the names of the dry run.
REASONS = {
    "code": "its code changed",
    "settings": "its settings changed",
    "input": "its input changed",
    "rule": "its rule changed",
    "inputs": "it has other inputs",
    "interrupted": "it was interrupted",
    "missing": "it was not run yet",
    "upstream": "what it reads is due",
}


def described(planned: ExperimentPlan) -> list[str]:
    """Lines on an experiment: problems, methods with their grids, selection, size."""
    experiment, first = planned.experiment, planned.cells[0]
    settings = first.settings
    problems = {cell.problem: cell.varied for cell in planned.cells}
    shared = {
        key: value
        for key, value in settings.task.model_dump(exclude={"name"}).items()
        if key not in first.varied
    }
    select_by = experiment.select_by
    count = sum(runs(cell.settings.model_dump()) for cell in planned.cells)
    jobs = len(planned.jobs())
    lines = [
        f"{experiment.name}: {about('experiment', experiment.name)}",
        f"  problems   {len(problems)}: {_axes(problems.values())}",
        f"  task       {settings.task.name}: {_pairs(shared)}",
        *_methods(planned),
        "  selection  "
        + (
            "none"
            if select_by == NOTHING
            else SELECTIONS[select_by][0].format(target=experiment.target)
        ),
        f"  run        {len(settings.seeds)} seeds, {settings.steps} steps, "
        + _pairs(
            settings.model_dump(include={"engine", "record_every", "stop_at", "dtype", "device"})
        ),
        *(f"  left out   {reason}" for reason in planned.left_out.values()),
        f"  figures    {', '.join(experiment.figures)}",
        f"  size       {len(planned.cells)} cells, {count} runs, {jobs} simulation jobs",
    ]
    return lines


def _axes(problems: Iterable[dict[str, Any]]) -> str:
    values: dict[str, dict[str, None]] = {}
    for problem in problems:
        for key, value in problem.items():
            values.setdefault(key, {})[_text(value)] = None
    return "; ".join(f"{key} = {', '.join(distinct)}" for key, distinct in values.items())


def _methods(planned: ExperimentPlan) -> list[str]:
    methods = {cell.settings.method.name: cell.settings.method for cell in planned.cells}
    width = max(map(len, methods))
    lines: list[str] = []
    for name, method in methods.items():
        grids = [
            f"{key} {_text(grid)}" for key in ("lr", "damping") if (grid := getattr(method, key))
        ]
        options = [_pairs(method.options)] if method.options else []
        heading = "methods" if not lines else ""
        lines.append(f"  {heading:<9}  {name:<{width}}  {'; '.join([*grids, *options])}".rstrip())
    return lines


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_text(value)}" for key, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, float):
        return f"{value:g}"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def due_lines(jobs: Sequence[Due]) -> list[str]:
    """Lines on what would be run and why, jobs of a kind together."""
    if not jobs:
        return ["Nothing is due: all results are there and up to date."]
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for job in jobs:
        if job.rule != "all":
            kind = job.wildcards.get("experiment", ""), job.rule, _why(job)
            names = [
                job.wildcards[key] for key in ("job", "part", "figure") if key in job.wildcards
            ]
            kinds.setdefault(kind, []).append(" ".join(names))
    width = max(len(f"{rule} {experiment}") for experiment, rule, _ in kinds)
    lines = [f"Due: {sum(map(len, kinds.values()))} jobs"]
    for (experiment, rule, why), names in sorted(kinds.items(), key=lambda kind: kind[0][0]):
        what = f"{rule} {experiment}"
        lines.append(f"  {len(names):>3}  {what:<{width}}  {why}  {', '.join(names)}".rstrip())
    return lines


def _why(job: Due) -> str:
    why = REASONS.get(job.reason, job.reason)
    return f"{why}: {', '.join(job.changed)}" if job.reason == "input" else why


def time_line(
    due: Sequence[Due], plans: Mapping[str, ExperimentPlan], earlier: Earlier, cores: int
) -> str:
    """How long what is due takes: simulations, starts, reduction and figures."""
    if not due:
        return "Time: none"
    planned = {name: one.jobs() for name, one in plans.items()}
    jobs = []
    for one in due:
        if one.rule == "simulate":
            method, _, part = one.wildcards["job"].rpartition("-")
            jobs.append(planned[one.wildcards["experiment"]][method, int(part)])
    numbers = Counter(one.rule for one in due if one.rule != "all")
    time = estimate(numbers, jobs, earlier, cores, len(planned))
    line = f"Time: about {_duration(time.on_cores)} on {cores} {'core' if cores == 1 else 'cores'}"
    if cores > 1:
        line += f", {_duration(time.of_one_core)} of one core"
    if time.guessed:
        return f"{line}; a guess for {', '.join(sorted(time.guessed))}, which did not run here yet"
    return f"{line}, by earlier runs"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
