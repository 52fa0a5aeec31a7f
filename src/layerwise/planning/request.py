"""What the pipeline is asked for: experiments, a scale, overrides, and the size of jobs. No torch."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from layerwise.planning.overrides import methods_from_override, read
from layerwise.planning.plan import CELLS_PER_JOB, ExperimentPlan, plan_all, results_label
from layerwise.settings.validation import ConfigError, nearest


class Request(NamedTuple):
    """What is to be reproduced. No experiments stand for all of them."""

    experiments: tuple[str, ...] = ()
    scale: str = "paper"
    overrides: tuple[str, ...] = ()
    cells_per_job: int = CELLS_PER_JOB

    def plans(self) -> dict[str, ExperimentPlan]:
        """Its experiments' plans. Raises ConfigError with one sentence."""
        return plan_all(self.experiments or None, self.scale, self.overrides)

    @property
    def label(self) -> str:
        """The folder of its results and figures, with its slash."""
        return results_label(self.scale, self.overrides)

    @property
    def settings(self) -> dict[str, Any]:
        """It as Snakemake's configuration."""
        named = {"experiments": list(self.experiments)} if self.experiments else {}
        return named | {"scale": self.scale, "overrides": read(self.overrides).canonical}


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
    if isinstance(given.get("experiments"), str):
        given["experiments"] = [given["experiments"]]
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
