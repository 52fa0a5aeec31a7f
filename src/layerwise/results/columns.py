"""The tables that runs are reduced to, and their columns. No torch, and no pandas, which takes its time."""

from collections.abc import Iterable

# What every run table of a pipeline has; its task adds its own settings and metrics.
RUN_COLUMNS = (
    "problem", "method", "rule", "network", "stage", "damping", "lr", "seed", "step", "status",
    "diverged_at", "failure",
)  # fmt: skip
# What tells runs apart, and the choices of a method on a problem.
RUN_KEYS = ("problem", "method", "damping", "lr", "seed")
CHOICE_KEYS = ("problem", "method", "damping", "lr")
# The stages of a run: all choices on the seeds that select, and the selected ones on those that report.
TUNING, REPORTING = "tuning", "reporting"
# The tables of an experiment that selects step sizes, and of one that does not.
SELECTED = ("summary", "scores", "selection", "traces")
COLLECTED = ("runs",)
# What a summary adds to a run's last row, each where the runs have the metric.
SUMMARISED = {
    "iterations": "subspace_distance",
    "iterations_half": "subspace_distance",
    "mean_subspace_distance": "subspace_distance",
    "mean_train_loss": "train_loss",
    "contraction": "outside_norm",
}
SCORE_COLUMNS = ("problem", "method", "damping", "lr", "score", "final", "diverged_seeds", "seeds")
EDGE_COLUMNS = ("lr_at_edge", "damping_at_edge")


def columns_of(table: str, own: Iterable[str]) -> set[str]:
    """The columns of a reduced table of runs that have ``own`` beside RUN_COLUMNS."""
    columns = set(own)
    if table == "scores":
        return {*SCORE_COLUMNS}
    if table == "selection":
        return {*SCORE_COLUMNS, *EDGE_COLUMNS}
    added = [name for name, of in SUMMARISED.items() if of in columns] if table == "summary" else []
    if "iterations" in added:
        added.append("target")
    return {*RUN_COLUMNS, *columns, *added}
