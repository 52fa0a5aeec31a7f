# Plans every experiment before any job starts; a setting that cannot be used ends the run here.

from layerwise.planning.pipeline import Pipeline
from layerwise.planning.plan import canonical
from layerwise.planning.request import requested
from layerwise.planning.sources import code_of
from layerwise.results.files import FileError, digest_of_text
from layerwise.settings.validation import ConfigError


wildcard_constraints:
    # The folder of a scale and its overrides, with its slash; none for the paper's scale as it stands.
    label=r"(/[a-z0-9_-]+)?",
    experiment=r"[a-z0-9_]+",
    job=r"[a-z0-9_]+-\d+",
    part=r"\d+",
    figure=r"[a-z0-9_]+",


try:
    PIPELINE = Pipeline(requested(config))
    if workflow.is_main_process:  # a job on a cluster finds the files there
        PIPELINE.write_files()
except (ConfigError, FileError) as error:
    raise WorkflowError(str(error)) from None

EXPERIMENTS = PIPELINE.plans
RESULTS = f"results{PIPELINE.label}"
DRAWN = f"figures{PIPELINE.label}"

FIGURE_OF = {
    figure: experiment
    for experiment in EXPERIMENTS.values()
    for figure in experiment.experiment.figures
}
# What an experiment's tables are reduced to.
SELECTED = [f"{name}.parquet" for name in ("summary", "scores", "selection", "traces")]
COLLECTED = ["runs.parquet"]
FIGURES = expand(
    "{folder}/{figure}.{kind}", folder=DRAWN, figure=FIGURE_OF, kind=["pdf", "png", "csv"]
)
# The claims are judged on all experiments together.
CLAIMS = (
    [f"{RESULTS}/claims.csv", f"{DRAWN}/claims.md"] if config.get("experiments") is None else []
)


def job_of(wildcards):
    """The job of a run table, and where its files lie."""
    return PIPELINE.job(f"results{wildcards.label}/{wildcards.experiment}", wildcards.job)


def part_of(wildcards):
    """The part of the instances that a file holds."""
    return PIPELINE.instances(f"results{wildcards.label}/{wildcards.experiment}", wildcards.part)


def drawn_for(wildcards):
    """The instances that a job reads, if it does not draw its own."""
    instances = job_of(wildcards).instances
    return [] if instances is None else instances.drawn


def tables_of(experiment):
    """An experiment's run tables, in the order of its plan."""
    return [placed.table for placed in PIPELINE.jobs[experiment]]


def records_of(experiment):
    """And what was run for each."""
    return [placed.record for placed in PIPELINE.jobs[experiment]]


def reduced(experiment):
    """What an experiment's tables are reduced to."""
    names = COLLECTED if experiment.select_by == "nothing" else SELECTED
    return [f"{RESULTS}/{experiment.name}/{name}" for name in names]


def reduced_tables(wildcards):
    """What a figure is drawn from."""
    return reduced(FIGURE_OF[wildcards.figure].experiment)


def judged_tables(wildcards):
    """What the claims are judged on: each experiment's selection and last values, or all its rows."""
    tables = [path for plan in EXPERIMENTS.values() for path in reduced(plan.experiment)]
    return [
        path
        for path in tables
        if path.endswith(("summary.parquet", "selection.parquet", "runs.parquet"))
    ]


TABLES = [
    path
    for name, plan in EXPERIMENTS.items()
    for path in tables_of(name) + reduced(plan.experiment)
]


def task_of_figure(wildcards):
    """A heading of the report."""
    return FIGURE_OF[wildcards.figure].task.replace("_", " ").capitalize()
