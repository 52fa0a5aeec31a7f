"""Hydra's composition of a run's configuration, with errors that name the nearest key. No torch."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from layerwise.settings import ConfigError, RunSettings, nearest, run_settings

CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"
GROUPS = ("task", "method", "experiment", "scale")
# Keys of the command line that say where files are, and not what is computed.
PATH_KEYS = ("instances", "out")


def options(group: str) -> list[str]:
    """The options of a group: the names of its files."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """Compose config.yaml with Hydra overrides. Raises ConfigError with one sentence."""
    _check_options(overrides)
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose("config", list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(overrides, error)) from None


def settings_of(config: DictConfig) -> RunSettings:
    """Validate the composed configuration of a single run."""
    content: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    content["method"].pop("label")  # style: only figures use it
    return run_settings({key: content[key] for key in content if key not in PATH_KEYS})


def paths_of(config: DictConfig) -> tuple[Path, Path | None]:
    """The table to write and the instance file to read, if any, of a single run."""
    out = Path(str(config.out))
    if out.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"out = {str(out)!r} is not allowed: allowed are .parquet and .csv files")
    instances = None if config.instances is None else Path(str(config.instances))
    if instances is not None and not instances.is_file():
        raise ConfigError(f"instances = {str(instances)!r} is not allowed: there is no such file")
    return out, instances


def _check_options(overrides: Sequence[str]) -> None:
    """Refuse an unknown option of a group, naming the nearest."""
    for override in overrides:
        match = re.fullmatch(r"\+*(\w+)(?:@[\w.]+)?=(\w+)", override)
        if match and match[1] in GROUPS and match[2] not in (allowed := options(match[1])):
            raise ConfigError(
                f"{match[1]} = {match[2]!r} is unknown{nearest(match[2], allowed)} "
                f"(allowed are {', '.join(allowed)})"
            )


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        name = f"{prefix}{key!s}"
        yield name
        if isinstance(value, DictConfig):
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
            value = override.get_value_element_as_str()
            return f"{key} = {value} is not allowed: there is no such key{nearest(key, known)}"
    return " ".join(str(error).split())


def _known_keys(overrides: Sequence[str]) -> list[str]:
    """The keys of the configuration with the groups' options alone; none if that fails too."""
    groups = [override for override in overrides if _is_group(override)]
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return list(_keys(compose("config", groups)))
    except (HydraException, OmegaConfBaseException):
        return []


def _is_group(override: str) -> bool:
    return override.lstrip("+~").split("=")[0].split("@")[0] in GROUPS
