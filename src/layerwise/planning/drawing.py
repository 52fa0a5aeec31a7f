"""What a figure reads, and whether an experiment's tables have it; and where its file lies. No torch.

A module of ``figures/`` says it in literals, which are read from its source: matplotlib takes its time.

    READS = {"traces": ["kappa_x", "train_loss"]}   # columns of tables, beside those that each table has
    METHODS = ["kfac"]                              # without which it cannot be drawn; may be left out
    VARIED = ["damping"]                            # of which some method needs several values; likewise
    EXPERIMENT = "condition_study"                   # whose figure it is; else the one of its own name
"""

import ast
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from layerwise.planning.sources import PACKAGE_DIR
from layerwise.results.columns import COLLECTED, SELECTED, columns_of
from layerwise.settings.experiment import Experiment
from layerwise.settings.run import RunSettings
from layerwise.settings.selection import NOTHING
from layerwise.settings.validation import ConfigError, nearest

SAYS = ("READS", "METHODS", "VARIED", "EXPERIMENT")


class Reads(NamedTuple):
    """What a figure reads, as its module says."""

    tables: dict[str, list[str]]
    methods: list[str]
    varied: list[str]
    experiment: str


@cache
def reads_of(figure: str) -> Reads:
    """Raises ConfigError where the module does not say it."""
    path = PACKAGE_DIR / "figures" / f"{figure}.py"
    said: dict[str, Any] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in SAYS:
                said[target.id] = ast.literal_eval(node.value)
    if "READS" not in said:
        raise ConfigError(
            f"experiment.figures = {figure!r} is not allowed: {path} does not say what it draws, as in "
            'READS = {"traces": ["kappa_x", "train_loss"]}'
        )
    methods, varied = said.get("METHODS", []), said.get("VARIED", [])
    return Reads(said["READS"], methods, varied, said.get("EXPERIMENT", figure))


def check_figures(
    experiment: Experiment, cells: Sequence[RunSettings], labels: Iterable[str]
) -> None:
    """Raise ConfigError, with one sentence, for a figure that the experiment's tables cannot feed.

    ``labels`` are the names for readers that all of its problems have.
    """
    columns = _columns(experiment, cells[0], labels)
    for figure in experiment.figures:
        refused = f"experiment.figures = {figure!r} is not allowed:"
        reads = reads_of(figure)
        for table, names in reads.tables.items():
            if table not in columns:
                raise ConfigError(
                    f"{refused} it draws the table {table}, and with experiment.select_by = "
                    f"{experiment.select_by!r} there are {', '.join(columns)}"
                )
            for name in names:
                if name not in columns[table]:
                    raise ConfigError(
                        f"{refused} it draws {name}, which the table {table} has not"
                        f"{nearest(name, sorted(columns[table]))}: it is no metric of task.metrics, no key "
                        "of the task, and not named by every entry of experiment.problems"
                    )
        for method in reads.methods:
            if method not in experiment.methods:
                raise ConfigError(f"{refused} it draws the method {method}, which is not run")
        for axis in reads.varied:
            if all(len(getattr(cell.method, axis)) < 2 for cell in cells):
                raise ConfigError(
                    f"{refused} it draws maps over {axis}, and no method has several values of it"
                )


def _columns(
    experiment: Experiment, cell: RunSettings, labels: Iterable[str]
) -> dict[str, set[str]]:
    """The columns of each of an experiment's reduced tables."""
    own = [*cell.task.model_dump(), *labels, *cell.task.metrics]
    tables = COLLECTED if experiment.select_by == NOTHING else SELECTED
    return {table: columns_of(table, own) for table in tables}


def file_name(figure: str, experiment: str) -> str:
    """The name of a figure's files: its own where it is the experiment's own figure, else with the
    experiment's, whatever else is drawn."""
    return figure if reads_of(figure).experiment == experiment else f"{figure}-{experiment}"
