"""What an experiment says: problems, methods, the rule that selects step sizes, figures. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from layerwise.settings.validation import ConfigError, Positive, Settings, nearest

# The rules that select step sizes, in words.
RULES = {
    "steps_to_target": "the fewest iterations to subspace distance {target:g}",
    "mean_subspace_distance": "the smallest subspace distance on average over the iterations",
    "mean_train_loss": "the smallest training loss on average over the iterations",
    "subspace_distance": "the smallest subspace distance at the last iteration",
    "validation_error": "the smallest error on held-out data at the last iteration",
}
# And by which of them an experiment on a task may select: its tables have no other's metric.
SELECTS = {
    "linear_representation": (
        "steps_to_target",
        "mean_subspace_distance",
        "mean_train_loss",
        "subspace_distance",
    ),
    "single_index_training": ("validation_error",),
    "single_index": ("nothing",),
    "spike": ("nothing",),
}


HELPERS = ("__init__", "panels", "style")
FIGURES = sorted(
    path.stem
    for path in (Path(__file__).parents[1] / "figures").glob("*.py")
    if path.stem not in HELPERS
)


class Experiment(Settings):
    """What an experiment compares, and the rule that selects step sizes, the same for all methods."""

    name: str
    problems: Annotated[list[dict[str, Any]], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]
    # "nothing" collects the tables as they are.
    select_by: Literal[
        "steps_to_target",
        "mean_subspace_distance",
        "mean_train_loss",
        "subspace_distance",
        "validation_error",
        "nothing",
    ]
    target: Positive | None  # the subspace distance whose first passage is reported
    figures: Annotated[list[str], Field(min_length=1)]
    caption: str  # what the figures draw; {rule} stands for the selection of step sizes

    def check(self, name: str, task: str) -> None:
        """Raise ConfigError where the experiment of the file ``name`` cannot be reduced, or drawn, on a
        task."""
        if self.name != name:
            raise ConfigError(
                f"experiment.name = {self.name!r} is not allowed: allowed is its file's name, {name!r}"
            )
        for key in ("methods", "figures"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise ConfigError(
                    f"experiment.{key} = {getattr(self, key)} is not allowed: {key} must differ"
                )
        rules = SELECTS.get(task, (self.select_by,))  # an unknown task is refused with the runs
        if self.select_by not in rules:
            raise ConfigError(
                f"experiment.select_by = {self.select_by!r} is not allowed with task = {task!r}: "
                f"allowed is {' or '.join(rules)}"
            )
        if self.target is None and task == "linear_representation":
            raise ConfigError(
                f"experiment.target = None is not allowed with task = {task!r}: allowed is the subspace "
                "distance whose first passage is reported"
            )
        for figure in self.figures:
            if figure not in FIGURES:
                raise ConfigError(
                    f"experiment.figures = {figure!r} is unknown{nearest(figure, FIGURES)} (allowed are "
                    f"{', '.join(FIGURES)})"
                )

    def described(self, shared: dict[str, Any], steps: int, seeds: int) -> str:
        """What was run, in words: the task's settings that all problems share, seeds, what is drawn."""
        words = ", ".join(f"{key} = {value}" for key, value in shared.items() if key != "name")
        task = str(shared["name"]).replace("_", " ").capitalize()
        trained = "" if self.select_by == "nothing" else f"{steps} steps, "
        caption = self.caption.replace("{rule}", self._rule())
        return f"{task} with {words}; {trained}{seeds} seeds. {caption}"

    def _rule(self) -> str:
        """The rule that selects step sizes, as a sentence; nothing where none are selected."""
        if self.select_by == "nothing":
            return ""
        return (
            "For every method alike, the step size (and damping) is the one with "
            f"{RULES[self.select_by].format(target=self.target)}, by the median over seeds, "
            "among those of its grid with which no seed diverges."
        )


class Scale(Settings):
    """How much of an experiment is run; None keeps all."""

    name: str
    max_steps: Annotated[int, Field(ge=1)] | None
    entries: Annotated[int, Field(ge=1)] | None
    axis_points: Annotated[int, Field(ge=1)] | None
    lr_points: Annotated[int, Field(ge=1)] | None
    jobs_of: Literal["method", "experiment"]  # what a simulation job runs: a method, or all methods

    def thinned(self, values: Sequence[Any], points: int | None) -> list[Any]:
        """Keep ``points`` values: the ends, and evenly between them."""
        if points is None or len(values) <= points:
            return list(values)
        if points == 1:
            return list(values[:1])
        return [values[round(i * (len(values) - 1) / (points - 1))] for i in range(points)]
