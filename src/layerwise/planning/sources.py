"""Which source files a module's work depends on, so that editing code reruns what used it."""

from functools import cache
from pathlib import Path

import grimp

PACKAGE_DIR = Path(__file__).parents[1]


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("layerwise", cache_dir=None)


@cache
def sources(*modules: str) -> tuple[str, ...]:
    """Paths, relative to the working directory where possible, of the modules and of all that they
    import within the package."""
    graph = _graph()
    names = set(modules).union(*(graph.find_upstream_modules(module) for module in modules))
    return tuple(sorted(_relative(_path(name)) for name in names))


def _path(module: str) -> Path:
    base = PACKAGE_DIR.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
