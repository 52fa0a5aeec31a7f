# Plans every experiment before any job starts; a setting that cannot be used ends the run here.

from layerwise.dependencies import sources
from layerwise.plan import canonical, plan_all, results_label
from layerwise.settings import ConfigError


wildcard_constraints:
    experiment=r"[a-z0-9_]+",
    method=r"[a-z0-9_]+",
    part=r"\d+",
    figure=r"[a-z0-9_]+",


SCALE = config.get("scale", "paper")
OVERRIDES = config.get("overrides", [])

try:
    EXPERIMENTS = plan_all(config.get("experiments"), SCALE, OVERRIDES)
    JOBS = {
        (name, method, part): job
        for name, experiment in EXPERIMENTS.items()
        for (method, part), job in experiment.jobs(config.get("cells_per_job", 16)).items()
    }
except ConfigError as error:
    raise WorkflowError(str(error)) from None

LABEL = results_label(SCALE, OVERRIDES)
RESULTS = f"results{LABEL}"
DRAWN = f"figures{LABEL}"

FIGURE_OF = {
    figure: experiment
    for experiment in EXPERIMENTS.values()
    for figure in experiment.experiment.figures
}
# What an experiment's tables are reduced to.
SELECTED = ["summary.parquet", "scores.csv", "selection.csv", "traces.parquet"]
COLLECTED = ["runs.parquet"]
FIGURES = expand(
    "{folder}/{figure}.{kind}", folder=DRAWN, figure=FIGURE_OF, kind=["pdf", "png", "csv"]
)


def job_of(wildcards):
    """The job of a run table."""
    return JOBS[wildcards.experiment, wildcards.method, int(wildcards.part)]


def run_tables(wildcards):
    """The run tables of an experiment, in the order of its plan."""
    return [
        f"{RESULTS}/{experiment}/runs/{method}-{part}.parquet"
        for experiment, method, part in JOBS
        if experiment == wildcards.experiment
    ]


def reduced_tables(wildcards):
    """What a figure is drawn from."""
    experiment = FIGURE_OF[wildcards.figure].experiment
    names = COLLECTED if experiment.select_by == "nothing" else SELECTED
    return [f"{RESULTS}/{experiment.name}/{name}" for name in names]


def task_of_figure(wildcards):
    """A heading of the report."""
    return FIGURE_OF[wildcards.figure].task.replace("_", " ").capitalize()
