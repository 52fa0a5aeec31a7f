# Plans every experiment before any job starts; a setting that cannot be used ends the run here.

from layerwise.planning.sources import sources
from layerwise.planning.plan import CELLS_PER_JOB, canonical, plan_all, results_label
from layerwise.settings.validation import ConfigError


wildcard_constraints:
    experiment=r"[a-z0-9_]+",
    method=r"[a-z0-9_]+",
    part=r"\d+",
    figure=r"[a-z0-9_]+",


SCALE = config.get("scale", "paper")
OVERRIDES = config.get("overrides", [])


def jobs_of(experiments):
    """Jobs by experiment, method and part."""
    size = config.get("cells_per_job", CELLS_PER_JOB)
    return {
        (name, method, part): job
        for name, experiment in experiments.items()
        for (method, part), job in experiment.jobs(size).items()
    }


try:
    EXPERIMENTS = plan_all(config.get("experiments"), SCALE, OVERRIDES)
    JOBS = jobs_of(EXPERIMENTS)
    AS_THEY_STAND = plan_all(config.get("experiments"), SCALE) if OVERRIDES else {}
except ConfigError as error:
    raise WorkflowError(str(error)) from None

LABEL = results_label(SCALE, OVERRIDES)
RESULTS = f"results{LABEL}"
DRAWN = f"figures{LABEL}"
# What the overrides leave alone is made once, for the experiments as they stand.
UNCHANGED_RUNS = [
    f"{name[0]}/runs/{name[1]}-{name[2]}"
    for name, job in jobs_of(AS_THEY_STAND).items()
    if JOBS.get(name) == job
]
UNCHANGED_INSTANCES = [
    name
    for name, experiment in AS_THEY_STAND.items()
    if EXPERIMENTS[name].instances == experiment.instances
]

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
    """The job of a run table."""
    return JOBS[wildcards.experiment, wildcards.method, int(wildcards.part)]


def runs_of(name):
    """The run tables of an experiment, in the order of its plan."""
    return [
        f"{RESULTS}/{experiment}/runs/{method}-{part}.parquet"
        for experiment, method, part in JOBS
        if experiment == name
    ]


def run_tables(wildcards):
    """What an experiment's tables are reduced from."""
    return runs_of(wildcards.experiment)


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
    path for name, plan in EXPERIMENTS.items() for path in runs_of(name) + reduced(plan.experiment)
]


def task_of_figure(wildcards):
    """A heading of the report."""
    return FIGURE_OF[wildcards.figure].task.replace("_", " ").capitalize()


if UNCHANGED_RUNS or UNCHANGED_INSTANCES:

    include: "reuse.smk"
