# Plans every experiment before any job starts; a setting that cannot be used ends the run here.

import os
import threading
from pathlib import Path
from secrets import token_hex

# A folder of that name on the user's path would be imported in the place of this checkout's.
import layerwise

OWN, FOUND = (
    Path(workflow.basedir, "src", "layerwise").resolve(),
    Path(layerwise.__path__[0]).resolve(),
)
if FOUND != OWN:
    raise WorkflowError(
        f"Python finds the package layerwise in {FOUND}, and this checkout's is {OWN}: take the other one's "
        "folder out of PYTHONPATH, or run `python -m pip install -e .` here"
    )

from layerwise.command.trial import try_optimizers
from layerwise.planning.pipeline import Pipeline
from layerwise.planning.plan import canonical
from layerwise.planning.request import requested
from layerwise.planning.sources import code_of
from layerwise.results.columns import COLLECTED, SELECTED
from layerwise.results.files import FileError
from layerwise.settings.selection import NOTHING
from layerwise.settings.validation import ConfigError

# The jobs of this Snakemake share a process that has their libraries already, by which scripts/start.py starts
# them; one on a cluster's node starts as usual.
WARM = f"{os.getpid()} layerwise-{token_hex(16)}" if workflow.is_main_process else ""
os.environ.update(LAYERWISE_WARM=WARM)

# Figures are files. What a user's shell names instead may not be there, and then nothing can be drawn.
os.environ.update(MPLBACKEND="agg")

# What a user has every bash do first may name another python, or another folder.
for name in ("BASH_ENV", "BASH_FUNC_python%%"):
    os.environ.pop(name, None)


wildcard_constraints:
    # The folder of a scale and its overrides, with its slash; none for the paper's scale as it stands.
    label=r"(/[a-z0-9_-]+)?",
    experiment=r"[a-z0-9_]+",
    job=r"[a-z0-9_]+-\d+",
    part=r"\d+",
    # A figure, and where it is not the experiment's own, of which one.
    figure=r"[a-z0-9_]+(-[a-z0-9_]+)?",


try:
    REQUEST = requested(config)
    PIPELINE = Pipeline(REQUEST)
    if workflow.is_main_process:  # a job on a cluster finds the files there
        try_optimizers(REQUEST, PIPELINE.plans.values())
        PIPELINE.write_files()
except (ConfigError, FileError) as error:
    raise WorkflowError(str(error)) from None

EXPERIMENTS = PIPELINE.plans
RESULTS = f"results{PIPELINE.label}"
DRAWN = f"figures{PIPELINE.label}"

# What an experiment's tables are reduced to.
TABLES_OF = {
    name: COLLECTED if plan.experiment.select_by == NOTHING else SELECTED
    for name, plan in EXPERIMENTS.items()
}
FIGURES = expand(
    "{folder}/{figure}.{kind}", folder=DRAWN, figure=PIPELINE.figures, kind=["pdf", "png", "csv"]
)
# Judged on all experiments together; on some of them in a table of its own.
CLAIMS = PIPELINE.claims


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


def jobs_of(experiment):
    """An experiment's jobs, in the order of its plan."""
    return [placed.job for placed in PIPELINE.jobs[experiment]]


def tables_of(experiment):
    """An experiment's run tables, in the order of its plan."""
    return [placed.table for placed in PIPELINE.jobs[experiment]]


def records_of(experiment):
    """And what was run for each."""
    return [placed.record for placed in PIPELINE.jobs[experiment]]


def reduced(experiment, tables):
    """Those of an experiment's reduced tables that are named."""
    return [
        f"{RESULTS}/{experiment}/{table}.parquet"
        for table in TABLES_OF[experiment]
        if table in tables
    ]


def drawing_of(wildcards):
    """The figure of a file, of which experiment, and what it draws."""
    return PIPELINE.figures[wildcards.figure]


def drawn_tables(wildcards):
    """What a figure is drawn from."""
    drawing = drawing_of(wildcards)
    return reduced(drawing.experiment, drawing.tables)


def judged_tables(wildcards):
    """What the claims are judged on: each experiment's selection and last values, or all its rows."""
    tables = {"batch_norm": ("summary", "selection", "traces")}
    every = ("summary", "selection", "runs")
    return [path for name in EXPERIMENTS for path in reduced(name, tables.get(name, every))]


TABLES = [path for name in EXPERIMENTS for path in tables_of(name) + reduced(name, TABLES_OF[name])]


def task_of_figure(wildcards):
    """A heading of the report."""
    return EXPERIMENTS[drawing_of(wildcards).experiment].task.replace("_", " ").capitalize()


# Snakemake 9.27 starts a timer each time that it has looked for jobs, and would stay until the last one rings.
def stop_timers():
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


onsuccess:
    stop_timers()


onerror:
    stop_timers()
