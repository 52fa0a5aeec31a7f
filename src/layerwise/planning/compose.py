"""Composition of a run's and of an experiment's configuration, with errors that name the nearest key.

Runs and plans are composed the same way, as Hydra composes the files; with Hydra itself every experiment
with all its methods would take seconds. A test holds it against Hydra's own composition. No torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from layerwise.planning.method_files import CONFIG_DIR, load_method, method_files
from layerwise.planning.overrides import Change, Overrides, parsed, read, refuse_resolvers, spelled
from layerwise.settings.run import RunSettings, run_settings
from layerwise.settings.validation import ConfigError, nearest

GROUPS = ("task", "method", "experiment", "scale")
# Keys of the command line that say where files are, and not what is computed.
PATH_KEYS = ("instances", "out", "methods_from")


def options(group: str, methods_from: Sequence[str] = ()) -> list[str]:
    """The options of a group: the names of its files, those of the user's folders included."""
    if group == "method":
        return sorted(method_files(methods_from))
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def check_option(group: str, name: str, methods_from: Sequence[str] = ()) -> None:
    """Refuse an unknown option of a group, naming the nearest. Raises ConfigError."""
    allowed = options(group, methods_from)
    if name not in allowed:
        hint = _elsewhere(name) if group == "experiment" else ""
        raise ConfigError(
            f"{group} = {name!r} is unknown{hint or nearest(name, allowed)} (allowed are "
            f"{', '.join(allowed)})"
        )


def _elsewhere(name: str) -> str:
    """What a name is that is no experiment's, and what to type instead."""
    if name in options("method"):
        return f", it is a method: +method={name} adds it"
    drawn = [
        one
        for one in options("experiment")
        if name in _load("experiment", one)[1]["experiment"]["figures"]
    ]
    return f", it is a figure that {' and '.join(drawn)} draws" if drawn else ""


def compose_experiment(name: str, scale: str, overrides: Overrides) -> dict[str, Any]:
    """config.yaml with a task, an experiment, a scale, the methods under ``methods``, and overrides.

    The result is what Hydra composes of them. The experiment, the scale and the methods, those that the
    experiment or an override names, have files. Raises ConfigError with one sentence.
    """
    _, files = as_it_stands(name, scale, overrides.task, overrides.methods_from)
    # The other methods have no part in it, and OmegaConf takes its time.
    named = {*files["experiment"]["methods"], *overrides.named_methods}
    methods = {name: files["methods"][name] for name in files["methods"] if name in named}
    config = _changed(files | {"methods": methods}, overrides.changes)
    try:
        content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from None
    return content


@cache
def as_it_stands(
    name: str, scale: str, task: str | None = None, methods_from: tuple[str, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """The name of an experiment's task, or of another that it is to have, and its files at a scale, merged
    and not yet resolved, which nobody may change."""
    chosen, experiment = _load("experiment", name)
    own = task or chosen.get("override /task") or _load("", "config")[0]["task"]
    return own, _merged(_base(own, methods_from), experiment, _load("scale", scale)[1])


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
def _load(group: str, name: str) -> tuple[dict[str, str], dict[str, Any]]:
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
            inherited, content = ({}, own) if entry == "_self_" else _load(group, entry)
            chosen = inherited | chosen
            parts.append(content)
    return chosen, _merged(*parts)


@cache
def _base(task: str, methods_from: tuple[str, ...]) -> dict[str, Any]:
    """config.yaml with a task, and all methods in the place of one."""
    _, config = _load("", "config")
    check_option("task", task)
    methods = {name: load_method(path) for name, path in method_files(methods_from).items()}
    settings = {key: value for key, value in config.items() if key != "hydra"}
    return settings | {"task": _load("task", task)[1], "methods": methods}


def _changed(files: dict[str, Any], changes: Iterable[Change]) -> DictConfig:
    """Merged files with changed keys, the later over the earlier."""
    config = OmegaConf.create(files)
    OmegaConf.set_struct(config, True)
    for change in changes:
        _apply(change, config)
    return config


def _apply(change: Change, config: DictConfig) -> None:
    """Set a key, as Hydra does: unless it is to be added, it must be there."""
    refused = f"{change.typed} = {change.text} is not allowed:"
    if not isinstance(change.value, dict) and (below := _below(config, change.key)):
        raise ConfigError(f"{refused} it stands for several keys, such as {spelled(below)}")
    try:
        OmegaConf.update(config, change.key, change.value, merge=True, force_add=change.adds)
    except (ConfigAttributeError, ConfigKeyError):
        known = [spelled(key) for key in _keys(OmegaConf.to_container(config))]
        hint = nearest(spelled(change.key), known)
        raise ConfigError(f"{refused} there is no such key{hint}") from None
    except OmegaConfBaseException as error:
        raise ConfigError(f"{refused} {' '.join(str(error).split())}") from None


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """A single run's configuration: config.yaml with a task, a method and overrides. Raises ConfigError
    with one sentence."""
    refuse_resolvers(overrides)
    folders = _methods_from(overrides)
    chosen, config = _load("", "config")
    chosen = dict(chosen)
    changes = []
    for override in map(parsed, overrides):
        key, text = override.key_or_group, override.get_value_element_as_str()
        if key in GROUPS:
            _check_choice(key, override.value(), text, folders)
            chosen[key] = text.strip("\"'")
        else:
            adds = override.is_add() or override.is_force_add()
            changes.append(Change(key, override.value(), adds, key, text))
    parts = {
        "task": _load("task", chosen["task"])[1],
        "method": load_method(method_files(folders)[chosen["method"]]),
    }
    files = {key: value for key, value in config.items() if key != "hydra"} | parts
    return _changed(files, changes)


def _check_choice(group: str, value: Any, text: str, folders: Sequence[str]) -> None:
    """Refuse what is no option of a group, and groups that are an experiment's."""
    if group in ("experiment", "scale"):
        raise ConfigError(
            f"{group} = {text} is not allowed: a single run has a task and a method, `layerwise reproduce` "
            "runs experiments"
        )
    if not isinstance(value, str):  # of a list Hydra takes the last that it meets for each key
        raise ConfigError(
            f"{group} = {text} is not allowed: allowed is one name, as in "
            f"{group}={options(group, folders)[0]}"
        )
    check_option(group, value, folders)


def register_methods(overrides: Sequence[str]) -> None:
    """Make the methods of the folders that overrides name known to Hydra. Raises ConfigError."""
    shipped, every = method_files(), method_files(_methods_from(overrides))
    for name in every.keys() - shipped.keys():
        ConfigStore.instance().store(group="method", name=name, node=load_method(every[name]))


def _methods_from(overrides: Sequence[str]) -> tuple[str, ...]:
    """The folders of an override of a single run."""
    return read([text for text in overrides if text.startswith("methods_from=")]).methods_from


def settings_of(config: DictConfig) -> RunSettings:
    """Validate the composed configuration of a single run."""
    try:
        content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from None
    if isinstance(content.get("method"), dict):
        content["method"].pop("label", None)  # style: only figures use it
    return run_settings({key: content[key] for key in content if key not in PATH_KEYS})


def paths_of(config: DictConfig) -> tuple[Path, Path | None]:
    """The table to write and the instance file to read, if any, of a single run."""
    out = Path(str(config.out)).expanduser()
    if out.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"out = {str(out)!r} is not allowed: allowed are .parquet and .csv files")
    instances = None if config.instances is None else Path(str(config.instances)).expanduser()
    if instances is not None and not _is_file(instances):
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: there is no such file")
    return out, instances


def _below(config: DictConfig, key: str) -> str | None:
    """The first key below ``key``, None where it has a value of its own."""
    return next(
        (one for one in _keys(OmegaConf.to_container(config)) if one.startswith(f"{key}.")), None
    )


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    """The keys of nested dictionaries, without a look at their values: these may refer to nothing."""
    for key, value in config.items():
        name = f"{prefix}{key!s}"
        yield name
        if isinstance(value, dict):
            yield from _keys(value, f"{name}.")


def _is_file(path: Path) -> bool:
    """Whether there is such a file; none has a name that is too long for the system."""
    try:
        return path.is_file()
    except OSError:
        return False
