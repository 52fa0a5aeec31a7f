"""The cards of the update rules: what each needs and takes, read from its source. No torch.

A rule is a class of a file in methods/, of a file of the user's, or of an installed package.
"""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from layerwise.settings.validation import nearest

METHODS = Path(__file__).parents[1] / "methods"
# Files of methods/ without a rule that a configuration may name.
HELPERS = ("__init__", "base", "normalised", "optimizer_class")
CARD = ("needs", "batches", "scale", "takes_damping", "option_needs", "where_offered")


class RuleCard(NamedTuple):
    """A rule's class attributes, see :class:`layerwise.methods.base.Rule`, and its options."""

    needs: frozenset[str]
    batches: int
    scale: str
    takes_damping: bool
    option_needs: Mapping[str, str]
    where_offered: frozenset[str]
    options: tuple[str, ...]  # that its __init__ takes beyond the steps
    required: tuple[str, ...]  # those without a default
    any_option: bool  # whether it takes further ones, as **settings


def rule_card(rule: str, file: str | None = None) -> RuleCard:
    """The card of ``rule``, module.Class of methods/, or of the last word of ``rule`` in ``file``. Raises
    ValueError, with one sentence, where there is none."""
    if file is None:
        return _rule_card(rule, None, ())
    # A file of the user's, or one beside it, may be edited while this process lives, as in a notebook.
    beside = sorted(Path(file).parent.glob("*.py"))
    stamps = tuple((path.name, path.stat().st_mtime_ns) for path in beside)
    return _rule_card(rule, file, stamps)


@cache
def _rule_card(rule: str, file: str | None, stamps: tuple[tuple[str, int], ...]) -> RuleCard:
    """Plans ask for a card once for each cell, so it is read once for each state of its files."""
    module, _, name = rule.rpartition(".")
    path = METHODS / f"{module}.py" if file is None else Path(file)
    known = _known() if file is None else tuple(f"{module}.{one}" for one in _classes(path))
    if rule not in known:
        where = f"methods/{module}.py" if file is None else str(path)
        raise ValueError(
            f"method.rule = {rule!r} is not allowed: there is no such class in {where}"
            f"{nearest(rule, list(known))}"
        )
    card, start = _card(path, name)
    missing = [key for key in CARD if key not in card]
    if missing:
        raise ValueError(
            f"method.rule = {rule!r} is not allowed: its class lacks the attribute {missing[0]}, or has it "
            "not as a literal"
        )
    takes = [argument.arg for argument in (*start.args, *start.kwonlyargs)][2:]  # self, steps
    with_default = len(start.defaults)
    required = takes[: max(len(start.args) - 2 - with_default, 0)]
    return RuleCard(
        **card,
        options=tuple(takes),
        required=tuple(required),
        any_option=start.kwarg is not None,
    )


def check_options(rule: str, card: RuleCard, options: Mapping[str, Any]) -> None:
    """Raise ValueError, with one sentence, where the rule does not take just these options."""
    for option, value in options.items():
        if option not in card.options and not card.any_option:
            allowed = (
                f"allowed are {', '.join(card.options)}"
                if card.options
                else "the rule has no options"
            )
            raise ValueError(
                f"method.options.{option} = {value!r} is not allowed with method.rule = {rule!r}: "
                f"{allowed}{nearest(option, list(card.options))}"
            )
    for option in card.required:
        if option not in options:
            raise ValueError(f"method.options.{option} is missing: method.rule = {rule!r} needs it")


@cache
def _known() -> tuple[str, ...]:
    """Every rule of methods/, as module.Class."""
    files = [path for path in sorted(METHODS.glob("*.py")) if path.stem not in HELPERS]
    return tuple(f"{path.stem}.{name}" for path in files for name in _classes(path))


def _classes(path: Path) -> list[str]:
    """The classes of a file, but for the named tuples that memories are."""
    return [
        node.name
        for node in _parsed(path).body
        if isinstance(node, ast.ClassDef)
        and not any(isinstance(base, ast.Name) and base.id == "NamedTuple" for base in node.bases)
    ]


def _parsed(path: Path) -> ast.Module:
    if not path.is_file():
        return ast.parse("")
    return _parsed_text(path.read_text(encoding="utf-8"), str(path))


@cache
def _parsed_text(text: str, name: str) -> ast.Module:
    try:
        return ast.parse(text, name)
    except SyntaxError as error:
        raise ValueError(
            f"{name} is not readable Python: {error.msg}, line {error.lineno}"
        ) from None


def imported_file(node: ast.ImportFrom, of: Path) -> Path | None:
    """The file that an import in the file ``of`` names: one of methods/, or one beside it."""
    module = node.module or ""
    if module.startswith("layerwise.methods."):
        return METHODS / f"{module.removeprefix('layerwise.methods.')}.py"
    beside = of.parent / f"{module.rpartition('.')[2]}.py"
    return beside if beside.is_file() else None


def _card(path: Path, name: str) -> tuple[dict[str, Any], ast.arguments]:
    """The literals of CARD in a class's body, and the arguments of its __init__; its own, or else those of
    its bases, as far as they lie in methods/ or beside it."""
    body = _parsed(path).body
    found = next(
        (node for node in body if isinstance(node, ast.ClassDef) and node.name == name), None
    )
    nothing = ast.parse("lambda self, steps: None", mode="eval").body
    assert isinstance(nothing, ast.Lambda)
    if found is None:
        return {}, nothing.args
    imported = {
        alias.asname or alias.name: (imported_file(node, path), alias.name)
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    card: dict[str, Any] = {}
    start = nothing.args
    for base in reversed([base.id for base in found.bases if isinstance(base, ast.Name)]):
        file, own_name = imported.get(base, (path, base))
        if file is not None:
            inherited, start = _card(file, own_name)
            card |= inherited
    for node in found.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            start = node.args
        key, value = _assigned(node)
        if key in CARD and value is not None:
            try:
                card[key] = _literal(value)
            except ValueError:  # planning does not run a rule's code
                card.pop(key, None)
    return card, start


def _assigned(node: ast.stmt) -> tuple[str | None, ast.expr | None]:
    """Name and value of an assignment, with an annotation or not."""
    target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        (target,) = node.targets
    name = target.id if isinstance(target, ast.Name) else None
    return name, getattr(node, "value", None)


def _literal(node: ast.expr) -> Any:
    """A literal, or a frozenset of one."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "frozenset"
    ):
        return frozenset(ast.literal_eval(node.args[0])) if node.args else frozenset()
    return ast.literal_eval(node)
