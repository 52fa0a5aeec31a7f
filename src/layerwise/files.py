"""Files written whole or not at all, and what a record says of where a run was made."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("layerwise", "torch", "numpy", "pandas", "hydra-core", "omegaconf", "snakemake")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, renamed to it on success and removed on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(content: Any, path: Path) -> None:
    """Write indented JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def environment() -> dict[str, Any]:
    """Versions and host, for the record of a run."""
    return {
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "host": platform.node(),
        "platform": platform.platform(),
    }
