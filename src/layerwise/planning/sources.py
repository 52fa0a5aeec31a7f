"""Which code a piece of work depends on, as a digest: an edit of what it uses runs it again. No torch.

The digest is of what the code of a module and of all that it imports within the package says, or of what
a file of the user's and those beside it that it imports say. So these are no edits: comments, docstrings
and annotations; and, in ``layerwise.settings``, what only says which settings are allowed: the
validators and the tasks' cards. What is loaded by name, such as a spectrum, counts where it is named.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import grimp

from layerwise.results.files import digest_of_text
from layerwise.results.kept import keep, kept
from layerwise.settings.rule import imported_file

PACKAGE_DIR = Path(__file__).parents[1]
# What refuses settings, and computes nothing.
REFUSES = ("model_validator", "field_validator")
MOST = 4000  # files that are known from one process to the next


def code_of(*modules: str, files: Iterable[str] = ()) -> str:
    """The digest of the code of modules and of all that they import within the package, and of ``files``
    of the user's and all that these import beside them."""
    return _code_of(modules, tuple(sorted(set(files))))


@cache
def _code_of(modules: tuple[str, ...], files: tuple[str, ...]) -> str:
    graph, before = _graph(), len(_known())
    names = set(modules).union(*(graph.find_upstream_modules(module) for module in modules))
    digest = hashlib.sha256()
    for name in sorted(names):
        base = PACKAGE_DIR.joinpath(*name.split(".")[1:])
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        said = _said(path, name.startswith("layerwise.settings"))
        digest.update(f"{name}\n{said}\n".encode())
    for path in sorted(_with_imports(map(Path, files))):
        digest.update(f"{path.name}\n{_said(path, False)}\n".encode())
    if len(_known()) > before:
        keep(json.dumps(dict(list(_known().items())[-MOST:])), _known_name())
    return f"code {digest.hexdigest()[:16]}"


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("layerwise", cache_dir=None, exclude_type_checking_imports=True)


def _with_imports(files: Iterable[Path]) -> set[Path]:
    """Files of the user's, with those beside them that they import."""
    found: set[Path] = set()
    left = list(files)
    while left:
        path = left.pop()
        if path in found or not path.is_file() or path.is_relative_to(PACKAGE_DIR):
            continue
        found.add(path)
        imports = [
            one
            for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(one, ast.ImportFrom)
        ]
        left += [file for one in imports if (file := imported_file(one, path)) is not None]
    return found


@cache
def _said(path: Path, is_of_settings: bool) -> str:
    """The digest of what a file's statements say, of which only what they compute is left."""
    text = path.read_text(encoding="utf-8")
    key = digest_of_text(f"{is_of_settings}\n{text}")
    if key not in _known():
        tree = _Computing(is_of_settings).visit(ast.parse(text))
        _known()[key] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _known()[key]


@cache
def _known() -> dict[str, str]:
    """Digests of what files say, by their texts: parsing them takes longer than all else of a plan."""
    text = kept(_known_name())
    return json.loads(text) if text else {}


@cache
def _known_name() -> str:
    """Another for other digests: with this file, or the Python that parses, they may change."""
    own = Path(__file__).read_text(encoding="utf-8")
    return f"code-{digest_of_text(sys.version + own)}.json"


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


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that nodes refer to."""
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}
