"""What an experiment says: problems, methods, the rule that selects step sizes, figures. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from layerwise.settings.selection import NOTHING, SELECTIONS
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import ConfigError, Positive, Settings, nearest

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
    select_by: str  # a key of SELECTIONS, or NOTHING
    target: Positive | None  # the subspace distance whose first passage is reported
    # What runs on the reporting seeds: the choices that others selected, or all choices.
    reports: Literal["selected", "all"] = "selected"
    # Reporting and tuning seeds, in place of the scale's numbers of them.
    seeds: Annotated[int, Field(ge=1)] | None = None
    tune_seeds: Annotated[int, Field(ge=1)] | None = None
    figures: Annotated[list[str], Field(min_length=1)]
    caption: str  # what the figures draw; {rule} stands for the selection of step sizes

    def check(self, name: str, task: str, metrics: list[str]) -> None:
        """Raise ConfigError where the experiment of the file ``name`` cannot be reduced, or drawn, on a
        task that measures ``metrics``."""
        if self.name != name:
            raise ConfigError(
                f"experiment.name = {self.name!r} is not allowed: allowed is its file's name, {name!r}"
            )
        for key in ("methods", "figures"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise ConfigError(
                    f"experiment.{key} = {getattr(self, key)} is not allowed: {key} must differ"
                )
        if task not in TASKS:
            return  # refused with the runs
        rules = [*TASKS[task].selects, NOTHING]
        if self.select_by not in rules:
            raise ConfigError(
                f"experiment.select_by = {self.select_by!r} is not allowed with task = {task!r}: "
                f"allowed is {' or '.join(rules)}{nearest(self.select_by, rules)}"
            )
        needed = None if self.select_by == NOTHING else SELECTIONS[self.select_by][1]
        if needed is not None and needed not in metrics:
            raise ConfigError(
                f"experiment.select_by = {self.select_by!r} is not allowed: task.metrics = {metrics} lacks "
                f"{needed}"
            )
        passes = self.select_by != NOTHING and "subspace_distance" in metrics
        if self.target is None and passes:
            raise ConfigError(
                f"experiment.target = None is not allowed with task = {task!r}: allowed is the subspace "
                "distance whose first passage is reported"
            )
        if self.target is not None and not passes:
            raise ConfigError(
                f"experiment.target = {self.target} is not allowed: no first passage of a subspace "
                "distance is reported, leave null"
            )
        for figure in self.figures:
            if figure not in FIGURES:
                raise ConfigError(
                    f"experiment.figures = {figure!r} is unknown{nearest(figure, FIGURES)} (allowed are "
                    f"{', '.join(FIGURES)})"
                )

    def described(self, shared: str, steps: list[int], seeds: int, tuned_on: int) -> str:
        """What was run, in words: ``shared``, the task with the settings that all problems share; seeds;
        what is drawn."""
        trained = "" if self.select_by == NOTHING else f"{', '.join(map(str, steps))} steps, "
        caption = self.caption.replace("{rule}", self._rule(tuned_on))
        return f"{shared}; {trained}{seeds} seeds. {caption}"

    def _rule(self, tuned_on: int) -> str:
        """The rule that selects step sizes, as a sentence; nothing where none are selected."""
        if self.select_by == NOTHING:
            return ""
        seeds = f"{tuned_on} other seeds" if tuned_on else "seeds"
        return (
            "For every method alike, the step size (and damping) is the one with "
            f"{SELECTIONS[self.select_by][0].format(target=self.target)}, by the median over {seeds}, "
            "among those of its grid with which at most 5 % of them diverge."
        )


class Scale(Settings):
    """How much of an experiment is run; None keeps all."""

    name: str
    max_steps: Annotated[int, Field(ge=1)] | None
    entries: Annotated[int, Field(ge=1)] | None
    axis_points: Annotated[int, Field(ge=1)] | None
    lr_points: Annotated[int, Field(ge=1)] | None
    own_seeds: bool  # whether an experiment's own number of seeds counts
    # What a simulation job runs: a method, which then reruns alone, or all methods of the experiment.
    jobs_of: Literal["method", "experiment"]

    def thinned(self, values: Sequence[Any], points: int | None) -> list[Any]:
        """Keep ``points`` values: the ends, and evenly between them."""
        if points is None or len(values) <= points:
            return list(values)
        if points == 1:
            return list(values[:1])
        return [values[round(i * (len(values) - 1) / (points - 1))] for i in range(points)]
