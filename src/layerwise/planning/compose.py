"""Composition of a run's and of an experiment's configuration, with errors that name the nearest key.

Hydra itself composes a run. A plan composes every experiment with all methods, for which Hydra takes
seconds; it merges the same files by OmegaConf. No torch.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from layerwise.planning.method_files import CONFIG_DIR, load_method, method_files
from layerwise.planning.overrides import Change, Overrides, read, refuse_resolvers, spelled
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
        raise ConfigError(
            f"{group} = {name!r} is unknown{nearest(name, allowed)} (allowed are {', '.join(allowed)})"
        )


def compose_experiment(name: str, scale: str, overrides: Overrides) -> dict[str, Any]:
    """config.yaml with a task, an experiment, a scale, the methods under ``methods``, and overrides.

    The result is what Hydra composes of them. The experiment, the scale and the methods, those that the
    experiment or an override names, have files. Raises ConfigError with one sentence.
    """
    chosen, experiment = _load("experiment", name)
    base = _base(overrides.task or chosen.get("override /task"), overrides.methods_from)
    files = _merged(base, experiment, _load("scale", scale)[1])
    # The other methods have no part in it, and OmegaConf takes its time.
    named = {*files["experiment"]["methods"], *overrides.named_methods}
    files["methods"] = {name: files["methods"][name] for name in files["methods"] if name in named}
    config = OmegaConf.create(files)
    OmegaConf.set_struct(config, True)
    for change in overrides.changes:
        _apply(change, config)
    try:
        content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from None
    return content


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
def _base(task: str | None, methods_from: tuple[str, ...]) -> dict[str, Any]:
    """config.yaml with a task, None for the one that it chooses, and all methods in the place of one."""
    chosen, config = _load("", "config")
    task = task or chosen["task"]
    check_option("task", task)
    methods = {name: load_method(path) for name, path in method_files(methods_from).items()}
    settings = {key: value for key, value in config.items() if key != "hydra"}
    return settings | {"task": _load("task", task)[1], "methods": methods}


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
    """Compose config.yaml with Hydra overrides. Raises ConfigError with one sentence."""
    register_methods(overrides)
    _check_options(overrides)
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose("config", list(overrides))
    except Exception as error:  # of a strange override Hydra also raises ValueError, TypeError, …
        raise ConfigError(_explain(overrides, error)) from None


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
    out = Path(str(config.out))
    if out.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"out = {str(out)!r} is not allowed: allowed are .parquet and .csv files")
    instances = None if config.instances is None else Path(str(config.instances))
    if instances is not None and not _is_file(instances):
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: there is no such file")
    return out, instances


def _check_options(overrides: Sequence[str]) -> None:
    """Refuse an unknown option of a group, and resolvers."""
    refuse_resolvers(overrides)
    folders = _methods_from(overrides)
    for override in overrides:
        match = re.fullmatch(r"\+*(\w+)(?:@[\w.]+)?=(.*)", override, re.DOTALL)
        if match and match[1] in GROUPS:
            # Of a list Hydra takes the last that it meets for each key, without a word.
            if not re.fullmatch(r"""(["']?)\w+\1""", match[2]):
                raise ConfigError(
                    f"{match[1]} = {match[2]} is not allowed: allowed is one name, as in "
                    f"{match[1]}={options(match[1], folders)[0]}"
                )
            check_option(match[1], match[2].strip("\"'"), folders)


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


def _explain(overrides: Sequence[str], error: Exception) -> str:
    """One sentence for a composition that failed."""
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            return f"the override {text!r} is not allowed: it is not of Hydra's form key=value"
        key, known = override.key_or_group, _known_keys(overrides)
        if known and not _is_group(text) and key not in known:
            value = text.partition("=")[2]
            return f"{key} = {value} is not allowed: there is no such key{nearest(key, known)}"
    return (
        str(error) or f"the overrides {list(overrides)} are not allowed: Hydra cannot compose them"
    )


def _known_keys(overrides: Sequence[str]) -> list[str]:
    """The keys of the configuration with the groups' options alone; none if that fails too."""
    groups = [override for override in overrides if _is_group(override)]
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return list(_keys(OmegaConf.to_container(compose("config", groups))))
    except Exception:  # as in compose_config
        return []


def _is_group(override: str) -> bool:
    return override.lstrip("+~").split("=")[0].split("@")[0] in GROUPS


def _is_file(path: Path) -> bool:
    """Whether there is such a file; none has a name that is too long for the system."""
    try:
        return path.is_file()
    except OSError:
        return False
