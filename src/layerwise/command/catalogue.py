"""What there is to choose from, with a line on each: from the first words of their files. No torch."""

import ast
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from layerwise.planning.choices import options
from layerwise.planning.method_files import method_files
from layerwise.planning.places import CONFIG_DIR
from layerwise.planning.sources import PACKAGE_DIR
from layerwise.settings.validation import ConfigError, nearest

GROUPS = {"experiments": "experiment", "methods": "method", "tasks": "task", "scales": "scale"}
KINDS = ["experiments", "figures", "methods", "tasks", "scales"]


def catalogue(kind: str, methods_from: Sequence[str] = ()) -> dict[str, str]:
    """Names of a kind, each with its line; methods also of the user's folders. Raises ConfigError for an
    unknown kind."""
    if kind not in KINDS:
        raise ConfigError(
            f"kind = {kind!r} is unknown{nearest(kind, KINDS)} (allowed are {', '.join(KINDS)})"
        )
    if kind == "figures":
        return _figures()
    if kind == "methods":
        return {name: _line(path) for name, path in method_files(methods_from).items()}
    group = GROUPS[kind]
    return {name: about(group, name) for name in options(group)}


def about(group: str, name: str) -> str:
    """The first comment line of an option's file that is no directive to Hydra."""
    return _line(CONFIG_DIR / group / f"{name}.yaml")


def _line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    heading = list(takewhile(lambda line: line.startswith("#"), lines))
    comments = [line.removeprefix("#").strip() for line in heading]
    return _sentence([text for text in comments if not text.startswith("@package")])


def _sentence(lines: Sequence[str]) -> str:
    """The first sentence of a text, whole, on one line: it may go on in the next ones."""
    taken: list[str] = []
    for line in takewhile(bool, lines):
        taken.append(line)
        if line.endswith((".", "?", "!", ".)")):
            break
    return " ".join(taken)


def _figures() -> dict[str, str]:
    """The modules that draw a figure, read and not imported: matplotlib takes its time."""
    modules = {
        path.stem: ast.parse(path.read_text(encoding="utf-8"))
        for path in _modules(PACKAGE_DIR / "figures")
    }
    return {
        name: _sentence((ast.get_docstring(module) or "").splitlines())
        for name, module in modules.items()
        if any(isinstance(part, ast.FunctionDef) and part.name == "draw" for part in module.body)
    }


def _modules(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.py"))
