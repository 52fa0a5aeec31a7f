"""Composition of a run's and of an experiment's configuration, with errors that name the nearest key.

Runs and plans are composed the same way, as Hydra composes the files; with Hydra itself every experiment
with all its methods would take seconds. A test holds it against Hydra's own composition. No torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from layerwise.planning.choices import as_it_stands, check_option, load, options
from layerwise.planning.identity import value_of
from layerwise.planning.method_files import load_method, method_files
from layerwise.planning.overrides import Change, Overrides, parsed, read, refuse_resolvers, spelled
from layerwise.planning.plainly import plainly_changed, set_value
from layerwise.settings.run import RunSettings, run_settings
from layerwise.settings.validation import ConfigError, nearest

GROUPS = ("task", "method", "experiment", "scale")
# Keys of the command line that say where files are, and not what is computed.
PATH_KEYS = ("instances", "out", "methods_from")


def compose_experiment(name: str, scale: str, overrides: Overrides) -> dict[str, Any]:
    """config.yaml with a task, an experiment, a scale, the methods under ``methods``, and overrides.

    The result is what Hydra composes of them. The experiment, the scale and the methods, those that the
    experiment or an override names, have files. Raises ConfigError with one sentence.
    """
    _, files = as_it_stands(name, scale, overrides.task, overrides.methods_from)
    # The other methods have no part in it, and OmegaConf takes its time.
    named = {*files["experiment"]["methods"], *overrides.named_methods}
    methods = {name: files["methods"][name] for name in files["methods"] if name in named}
    if (changed := plainly_changed(files | {"methods": methods}, overrides.changes)) is not None:
        return changed
    config = _changed(files | {"methods": methods}, overrides.changes)
    try:
        content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from None
    return content


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
    value = set_value(change, lambda: value_of(change.key, OmegaConf.to_container(config)))
    try:
        OmegaConf.update(config, change.key, value, merge=True, force_add=change.adds)
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
    chosen, settings = load("", "config")
    chosen = dict(chosen)
    changes, removed = [], []
    for override in (parsed(text, may_delete=True) for text in overrides):
        key, text = override.key_or_group, override.get_value_element_as_str()
        if override.is_delete():
            removed.append(key)
        elif key in GROUPS:
            _check_choice(key, override.value(), text, folders)
            chosen[key] = text.strip("\"'")
        else:
            adds = override.is_add() or override.is_force_add()
            changes.append(Change(key, override.value(), adds, key, text))
    parts = {
        "task": load("task", chosen["task"])[1],
        "method": load_method(method_files(folders)[chosen["method"]]),
    }
    files = {key: value for key, value in settings.items() if key != "hydra"} | parts
    config = _changed(files, changes)
    for key in removed:
        _remove(key, config)
    return config


def _remove(key: str, config: DictConfig) -> None:
    """Take a setting out, as ~key asks for: a class need not take what a file sets."""
    above, _, name = key.rpartition(".")
    known = [one for one in _keys(OmegaConf.to_container(config)) if one not in GROUPS]
    if key not in known:
        raise ConfigError(f"~{key} is not allowed: there is no such key{nearest(key, known)}")
    with open_dict(config):
        del (OmegaConf.select(config, above) if above else config)[name]


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
    return settings_of_content(content)


def settings_of_content(content: dict[str, Any]) -> RunSettings:
    """Validate what a single run's configuration holds."""
    if isinstance(content.get("method"), dict):
        content["method"].pop("label", None)  # style: only figures use it
    return run_settings({key: content[key] for key in content if key not in PATH_KEYS})


def paths_of(config: DictConfig) -> tuple[Path, Path | None]:
    """The table to write and the instance file to read, if any, of a single run."""
    for key in PATH_KEYS:
        if key not in config:
            raise ConfigError(f"{key} is missing")
    if "://" in str(config.out):
        raise ConfigError(
            f"out = {str(config.out)!r} is not allowed: allowed are files, no addresses"
        )
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
