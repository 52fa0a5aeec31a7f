"""The update rules in methods/ and the options that each takes, read from their source. No torch."""

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from layerwise.settings.validation import nearest

METHODS = Path(__file__).parents[1] / "methods"


def check_rule(rule: str, options: Mapping[str, Any]) -> None:
    """Raise ValueError, with one sentence, where no file has the rule, module.Class, or where it does not
    take just these options."""
    module, name = rule.split(".")
    known = _known()
    if rule not in known:
        raise ValueError(
            f"method.rule = {rule!r} is not allowed: there is no such class in methods/{module}.py"
            f"{nearest(rule, known)}"
        )
    start = _start(module, name)
    if start is None:
        return  # what a class from elsewhere takes shows when it is made
    takes = [argument.arg for argument in (*start.args, *start.kwonlyargs)][2:]  # self, grid
    defaults = len(start.defaults)
    needed = takes[: len(start.args) - 2 - defaults] if len(start.args) > 2 else []
    for option, value in options.items():
        if option not in takes and start.kwarg is None:
            allowed = f"allowed are {', '.join(takes)}" if takes else "the rule has no options"
            raise ValueError(
                f"method.options.{option} = {value!r} is not allowed with method.rule = {rule!r}: "
                f"{allowed}{nearest(option, takes)}"
            )
    for option in needed:
        if option not in options:
            raise ValueError(f"method.options.{option} is missing: method.rule = {rule!r} needs it")


@cache
def _known() -> list[str]:
    """Every class of every file, as module.Class, but for records of a memory."""
    return [
        f"{path.stem}.{name}"
        for path in sorted(METHODS.glob("*.py"))
        for name in re.findall(r"^class (\w+)\b(?!\(NamedTuple)", path.read_text(), re.MULTILINE)
        if path.stem not in ("__init__", "base")
    ]


@cache
def _start(module: str, name: str) -> ast.arguments | None:
    """The arguments of a class's __init__, its own or that of a base in methods/."""
    path = METHODS / f"{module}.py"
    body = ast.parse(path.read_text(), path).body if path.is_file() else []
    found = next(
        (node for node in body if isinstance(node, ast.ClassDef) and node.name == name), None
    )
    if found is None:
        return None
    for node in found.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return node.args
    imported = {
        alias.name: (node.module or "").removeprefix("layerwise.methods.")
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    bases = [base.id for base in found.bases if isinstance(base, ast.Name)]
    starts = (_start(imported.get(base, module), base) for base in bases)
    return next((start for start in starts if start is not None), None)
