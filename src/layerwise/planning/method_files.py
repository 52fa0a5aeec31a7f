"""The files of methods: those of config/method, and those of the user's own folders. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from layerwise.planning.places import CONFIG_DIR, need_config
from layerwise.settings.rule import METHODS
from layerwise.settings.validation import ConfigError


def method_files(folders: Sequence[str] = ()) -> dict[str, Path]:
    """Every method's file by its name. Raises ConfigError for two of a name."""
    need_config()
    found: dict[str, Path] = {}
    for folder in (CONFIG_DIR / "method", *map(Path, folders)):
        for path in sorted(folder.glob("*.yaml")):
            if path.stem in found:
                raise ConfigError(
                    f"methods_from = {str(folder)!r} is not allowed: {path.name} is there, and the method "
                    f"{path.stem!r} has a file already, {found[path.stem]}"
                )
            found[path.stem] = path
    return found


def load_method(path: Path) -> dict[str, Any]:
    """A method's settings. Where its rule is a class of a file beside it, ``rule_file`` names that.
    Raises ConfigError for a file that cannot be read."""
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not a method's file: allowed are keys with values")
    options = content.get("options")
    optimizer = options.get("optimizer") if isinstance(options, dict) else None
    content["rule_file"] = _beside(path, content.get("rule"))
    content["optimizer_file"] = _beside(path, optimizer)
    return content


def _beside(path: Path, name: Any) -> str | None:
    """The file beside a method's, of a folder of the user's, that has the class module.Class; None where
    there is no such file."""
    module, _, _ = str(name).rpartition(".")
    beside = path.with_name(f"{module}.py")
    if path.parent == CONFIG_DIR / "method" or not beside.is_file():
        return None
    if (METHODS / beside.name).is_file():
        raise ConfigError(
            f"{name!r} in {path} is not allowed: methods/ has a {beside.name} as well as {path.parent}, "
            "rename yours"
        )
    return str(beside)
