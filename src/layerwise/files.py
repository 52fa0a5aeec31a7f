"""Files written whole or not at all, and records: JSON that says what was run, and where."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("layerwise", "torch", "numpy", "pandas", "hydra-core", "omegaconf", "snakemake")


class FileError(ValueError):
    """A file that cannot be written or used; its text is one sentence for the person who runs it."""


def unreadable(path: Path, what: str, why: object) -> FileError:
    """The refusal of a file that is not ``what`` it should be."""
    reason = " ".join(str(why).split())
    return FileError(f"{path} is not a readable {what} ({reason}): delete it and run again")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, renamed to it on success and removed on failure.

    Raises FileError when the system refuses, as on a full disk.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{path} was not written ({error})") from error


def write_json(content: Any, path: Path) -> None:
    """Write indented JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """Read a run's record. Raises FileError when it is not JSON, or lacks what every record has."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        missing = [key for key in ("cells", *environment()) if key not in record]
    except (ValueError, TypeError) as error:
        raise unreadable(path, "record", error) from error
    if missing:
        raise unreadable(path, "record", f"it lacks {', '.join(missing)}")
    return record


def environment() -> dict[str, Any]:
    """Versions and host, for the record of a run."""
    return {
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "host": platform.node(),
        "platform": platform.platform(),
    }
