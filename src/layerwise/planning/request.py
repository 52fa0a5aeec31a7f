"""What the pipeline is asked for: experiments, a scale, overrides, and the size of jobs. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from layerwise.planning.compose import options
from layerwise.planning.identity import label_of, of_experiments, words_of
from layerwise.planning.overrides import methods_from_override, read
from layerwise.planning.plan import CELLS_PER_JOB, ExperimentPlan, plan, plan_all
from layerwise.settings.validation import ConfigError, nearest

# Cells of plans that are made once more for each override, to see whether it changes anything; no axis of
# a larger plan is an experiment's own.
PLANNED_AGAIN = 2000


class Request(NamedTuple):
    """What is to be reproduced. No experiments stand for all of them."""

    experiments: tuple[str, ...] = ()
    scale: str = "paper"
    overrides: tuple[str, ...] = ()
    cells_per_job: int = CELLS_PER_JOB

    def plans(self) -> dict[str, ExperimentPlan]:
        """Its experiments' plans. Raises ConfigError with one sentence."""
        return dict(_plans(self.experiments, self.scale, self.overrides))

    @property
    def label(self) -> str:
        """The folder of its results and figures, with its slash."""
        return label_of(self.scale, self.effects)

    @property
    def effects(self) -> dict[str, Any]:
        """What its overrides change of its experiments, by keys."""
        return self.effects_on(self.experiments)

    def effects_on(self, experiments: tuple[str, ...]) -> dict[str, Any]:
        """What its overrides change of some experiments, by keys; nothing where all are planned as they
        stand."""
        return _effects(experiments, self.scale, self.overrides)

    @property
    def settings(self) -> dict[str, Any]:
        """It as Snakemake's configuration."""
        named = {"experiments": list(self.experiments)} if self.experiments else {}
        return named | {"scale": self.scale, "overrides": read(self.overrides).canonical}


@cache
def _plans(
    experiments: tuple[str, ...], scale: str, overrides: tuple[str, ...]
) -> dict[str, ExperimentPlan]:
    return plan_all(experiments or None, scale, overrides)


@cache
def _effects(
    experiments: tuple[str, ...], scale: str, overrides: tuple[str, ...]
) -> dict[str, Any]:
    found = of_experiments(experiments or options("experiment"), scale, read(overrides))
    if not found:
        return found
    plans = _plans(experiments, scale, overrides)
    if all(stands(one, scale) for one in plans.values()):
        return {}
    if sum(len(one.cells) for one in plans.values()) > PLANNED_AGAIN:
        return found
    # Axes that repeat an experiment's own: whether they do is seen from what is planned.
    for key in [key for key in found if key.startswith("task.")]:
        less = {other: value for other, value in found.items() if other != key}
        if less and _same_plans(plans, experiments, scale, overrides, less):
            found = less
    return found


def _same_plans(
    plans: Mapping[str, ExperimentPlan],
    experiments: tuple[str, ...],
    scale: str,
    overrides: tuple[str, ...],
    effects: dict[str, Any],
) -> bool:
    """Whether effects are planned as these plans of experiments with overrides, which have more."""
    words = words_of(effects, read(overrides), list(plans), scale)
    try:
        others = _plans(experiments, scale, tuple(words))
    except ConfigError:  # they cannot be run without the rest
        return False
    return all(alike(plans[name], others[name]) for name in plans)


def stands(planned: ExperimentPlan, scale: str) -> bool:
    """Whether an experiment is planned as it stands without overrides."""
    try:
        as_it_stands = plan(planned.experiment.name, scale)
    except ConfigError:  # it cannot be run without them
        return False
    return alike(planned, as_it_stands)


def alike(one: ExperimentPlan, other: ExperimentPlan) -> bool:
    """Whether two plans of an experiment are the same, whatever is said of methods that they leave out."""
    return replace(one, left_out={}) == replace(other, left_out={})


def from_words(words: Sequence[str] | None, scale: str, folders: Sequence[Path] | None) -> Request:
    """The request of a command line: words with a = are overrides, the others experiments."""
    experiments = tuple(word for word in words or () if "=" not in word)
    overrides = [word for word in words or () if "=" in word]
    if folders:
        # The pipeline works in the project's folder, whatever the one that the command is called from.
        overrides.append(methods_from_override([folder.absolute() for folder in folders]))
    return Request(experiments, scale, tuple(overrides))


def requested(config: Mapping[str, Any]) -> Request:
    """The request that Snakemake's configuration makes. Raises ConfigError for a key that there is not, or
    a value of the wrong kind."""
    for key, value in config.items():
        known = [*Request._fields, "methods_from"]
        if key not in known:
            raise ConfigError(
                f"{key} = {value!r} is not allowed in Snakemake's configuration: there is no such key"
                f"{nearest(key, known)} (allowed are {', '.join(known)})"
            )
    given = {key: value for key, value in config.items() if value is not None}
    for key in ("experiments", "overrides"):
        if isinstance(given.get(key), str):
            given[key] = [given[key]]
    if (folders := given.pop("methods_from", None)) is not None:
        listed = folders if isinstance(folders, list) else [folders]
        given["overrides"] = [*given.get("overrides", []), methods_from_override(listed)]
    for key, example in (("experiments", "[head_to_head]"), ("overrides", '["seeds=8"]')):
        values = given.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise _refused(key, values, f"a list of words, as in {example}")
        given[key] = tuple(values)
    if not isinstance(given.get("scale", ""), str):
        raise _refused("scale", given["scale"], "one name, as in quick")
    size = given.get("cells_per_job", 1)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise _refused("cells_per_job", size, "a whole number of at least 1")
    if config.get("experiments") == []:
        raise _refused("experiments", [], "at least one experiment, or no such key for all of them")
    return Request(**given)


def _refused(key: str, value: Any, allowed: str) -> ConfigError:
    return ConfigError(f"{key} = {value!r} is not allowed: allowed is {allowed}")
