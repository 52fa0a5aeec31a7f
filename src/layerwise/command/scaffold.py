"""A new method's files. No torch, but where an optimiser is tried out."""

import keyword
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from layerwise.command.trial import try_optimizer
from layerwise.planning.choices import options
from layerwise.planning.places import CONFIG_DIR, need_checkout
from layerwise.planning.plan import ALL_METHODS
from layerwise.planning.sources import PACKAGE_DIR
from layerwise.settings.method import MethodSettings
from layerwise.settings.validation import ConfigError, validate

TEMPLATES = Path(__file__).with_name("templates")


def new_method(name: str, optimizer: str | None, folder: Path | None = None) -> list[Path]:
    """Write config/method/NAME.yaml and, unless an ``optimizer`` (an import path) does the work, the
    skeleton of its rule, src/layerwise/methods/NAME.py; or both into ``folder``. Returns what was
    written.

    Raises ConfigError, before anything is written, for a name or an optimizer that cannot be used.
    """
    if folder is None:
        need_checkout("layerwise new-method without --methods-from")
    settings_folder = folder or CONFIG_DIR / "method"
    rule_folder = folder or PACKAGE_DIR / "methods"
    _check_name(name, folder)
    text = (TEMPLATES / "method.yaml").read_text(encoding="utf-8")
    class_name = name.title().replace("_", "")
    words = {
        "NAME": name,
        "LABEL": name.replace("_", " "),
        "RULE": f"{name}.{class_name}",
        "OPTIONS": "{}",
    }
    if optimizer is not None:
        words |= {
            "RULE": "torch_optimizer.TorchOptimizer",
            "OPTIONS": f"{{optimizer: {optimizer}}}",
        }
    for word, value in words.items():
        text = re.sub(rf"\b{word}\b", value, text)
    written = {settings_folder / f"{name}.yaml": text}
    if optimizer is None:
        rule = (TEMPLATES / "rule.py").read_text(encoding="utf-8").replace("NewRule", class_name)
        written[rule_folder / f"{name}.py"] = rule
    else:
        _try_out(text)
    for path, content in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return list(written)


def _check_name(name: str, folder: Path | None) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"the name {name!r} is not allowed: allowed are Python's identifiers in lower-case letters, "
            "digits and _"
        )
    taken = {
        ALL_METHODS,
        *options("method"),
        *(path.stem for path in (PACKAGE_DIR / "methods").glob("*.py")),
        *(path.stem for path in (folder.glob("*") if folder is not None else ())),
    }
    if name in taken:
        raise ConfigError(
            f"the name {name!r} is not allowed: there is a method or a rule of that name"
        )


def _try_out(text: str) -> None:
    """Refuse an optimizer that takes no step from gradients alone."""
    content: Any = OmegaConf.to_container(OmegaConf.create(text))
    del content["label"]
    try_optimizer(validate(MethodSettings, content | {"lr": [0.1], "damping": []}, "method"))
