"""What there is to choose from, and what the files of a choice say. No torch."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from layerwise.planning.method_files import load_method, method_files
from layerwise.planning.places import CONFIG_DIR, need_config
from layerwise.settings.validation import ConfigError, nearest


def options(group: str, methods_from: Sequence[str] = ()) -> list[str]:
    """The options of a group: the names of its files, those of the user's folders included."""
    if group == "method":
        return sorted(method_files(methods_from))
    need_config()
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def check_option(group: str, name: str, methods_from: Sequence[str] = ()) -> None:
    """Refuse an unknown option of a group, naming the nearest. Raises ConfigError."""
    allowed = options(group, methods_from)
    if name not in allowed:
        hint = nearest(name, allowed)
        if group == "experiment":
            hint = _elsewhere(name) or hint or nearest(name, [*options("method"), *_drawn()])
        raise ConfigError(f"{group} = {name!r} is unknown{hint} (allowed are {', '.join(allowed)})")


def _elsewhere(name: str) -> str:
    """What a name is that is no experiment's, and what to type instead."""
    if name in options("method"):
        return f", it is a method: +method={name} adds it"
    drawn = _drawn().get(name)
    return f", it is a figure that {' and '.join(drawn)} draws" if drawn else ""


def _drawn() -> dict[str, list[str]]:
    """The experiments that draw each figure."""
    found: dict[str, list[str]] = {}
    for name in options("experiment"):
        for figure in load("experiment", name)[1]["experiment"]["figures"]:
            found.setdefault(figure, []).append(name)
    return found


@cache
def as_it_stands(
    name: str, scale: str, task: str | None = None, methods_from: tuple[str, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """The name of an experiment's task, or of another that it is to have, and its files at a scale, merged
    and not yet resolved, which nobody may change."""
    chosen, experiment = load("experiment", name)
    own = task or chosen.get("override /task") or load("", "config")[0]["task"]
    return own, _merged(_base(own, methods_from), experiment, load("scale", scale)[1])


def _merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """The parts, later over earlier; dictionaries are merged, anything else is replaced."""
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            below = merged.get(key)
            if isinstance(below, dict) and isinstance(value, dict):
                value = _merged(below, value)
            merged[key] = value
    return merged


@cache
def load(group: str, name: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What a file's defaults list chooses of other groups, and its settings, over those of the files
    of its own group in that list."""
    path = CONFIG_DIR / group / f"{name}.yaml"
    try:
        own: Any = OmegaConf.to_container(OmegaConf.load(path))
    except YAMLError as error:
        raise ConfigError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    chosen: dict[str, str] = {}
    parts = []
    for entry in own.pop("defaults", ["_self_"]):
        if isinstance(entry, dict):
            chosen |= entry
        else:
            inherited, content = ({}, own) if entry == "_self_" else load(group, entry)
            chosen = inherited | chosen
            parts.append(content)
    return chosen, _merged(*parts)


@cache
def _base(task: str, methods_from: tuple[str, ...]) -> dict[str, Any]:
    """config.yaml with a task, and all methods in the place of one."""
    _, config = load("", "config")
    check_option("task", task)
    methods = {name: load_method(path) for name, path in method_files(methods_from).items()}
    settings = {key: value for key, value in config.items() if key != "hydra"}
    return settings | {"task": load("task", task)[1], "methods": methods}
