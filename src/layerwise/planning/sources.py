"""Which code a piece of work depends on, as a digest: an edit of what it uses runs it again. No torch.

The digest is of what the code of a module and of all that it imports within the package says. So these
are no edits: comments, docstrings and annotations; and what only says which settings are allowed, in
``layerwise.settings`` the validators and the tasks' cards, and elsewhere the entries of a table of
functions by name, as of spectra, that a run does not use.
"""

import ast
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import grimp

PACKAGE_DIR = Path(__file__).parents[1]
# Tables of functions by name, and the key of a task whose value names the entry that a run uses.
TABLES = {"SPECTRA": "spectrum", "LINKS": "link", "ACTIVATIONS": "activation"}
# What refuses settings, and computes nothing.
REFUSES = ("model_validator", "field_validator")


def code_of(*modules: str, used: Mapping[str, Iterable[str]] | None = None) -> str:
    """The digest of the code of modules and of all that they import within the package.

    ``used`` names, for each of TABLES, the entries that matter; without it all do.
    """
    names = None if used is None else tuple((key, frozenset(used[key])) for key in sorted(used))
    return _code_of(modules, names)


def used_entries(tasks: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The entries of TABLES that runs of tasks use, by the tasks' settings."""
    found = list(tasks)
    return {table: {str(task.get(key)) for task in found} for table, key in TABLES.items()}


@cache
def _code_of(modules: tuple[str, ...], used: tuple[tuple[str, frozenset[str]], ...] | None) -> str:
    graph = _graph()
    names = set(modules).union(*(graph.find_upstream_modules(module) for module in modules))
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\n{_said(name, used)}\n".encode())
    return f"code {digest.hexdigest()[:16]}"


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("layerwise", cache_dir=None)


@cache
def _said(module: str, used: tuple[tuple[str, frozenset[str]], ...] | None) -> str:
    """The digest of what a module's statements say, without the unused entries of its tables."""
    statements = _statements(module)
    if used is not None:
        statements = [_narrowed(one, dict(used)) for one in statements]
        # A function that only entries which are left out name goes with them.
        left_out = _names(_statements(module)) - _names(statements)
        statements = [
            one
            for one in statements
            if not (isinstance(one, ast.FunctionDef) and one.name in left_out)
        ]
    return hashlib.sha256("\n".join(map(ast.dump, statements)).encode()).hexdigest()


@cache
def _statements(module: str) -> list[ast.stmt]:
    """A module's statements, of which only what they compute is left."""
    base = PACKAGE_DIR.joinpath(*module.split(".")[1:])
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    tree = _Computing(module.startswith("layerwise.settings")).visit(ast.parse(path.read_text()))
    body: list[ast.stmt] = tree.body
    return body


class _Computing(ast.NodeTransformer):
    """Leaves out docstrings and annotations, and of settings what only refuses."""

    def __init__(self, is_of_settings: bool) -> None:
        self._is_of_settings = is_of_settings

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if self._is_of_settings and any(
            name in REFUSES for one in node.decorator_list for name in _names([one])
        ):
            return None
        arguments = node.args
        for argument in (
            *arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg,
            arguments.kwarg,
        ):  # fmt: skip
            if argument is not None:
                argument.annotation = None
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self._is_of_settings and "ClassVar" in _names([node.annotation]):
            return None
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _narrowed(statement: ast.stmt, used: Mapping[str, frozenset[str]]) -> ast.stmt:
    """A table with the used entries alone; any other statement as it is."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return statement
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    table = statement.value
    if not (isinstance(target, ast.Name) and target.id in used and isinstance(table, ast.Dict)):
        return statement
    kept = [
        (key, value)
        for key, value in zip(table.keys, table.values, strict=True)
        if not isinstance(key, ast.Constant) or key.value in used[target.id]
    ]
    entries = ast.Dict([key for key, _ in kept], [value for _, value in kept])
    return ast.Assign([target], entries)


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that nodes refer to."""
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}
