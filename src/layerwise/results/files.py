"""Files written whole or not at all, and records: JSON that says what was run, and where."""

import hashlib
import json
import os
import platform
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from layerwise.results.commit import commit
from layerwise.version import __version__

PACKAGES = ("layerwise", "torch", "numpy", "pandas", "hydra-core", "omegaconf", "snakemake")


class FileError(ValueError):
    """A file that cannot be written or used; its text is one sentence for the person who runs it."""


def unreadable(path: Path, what: str, why: object) -> FileError:
    """The refusal of a file that is not ``what`` it should be."""
    reason = " ".join(str(why).split())
    return FileError(f"{path} is not a readable {what} ({reason}): {made_anew(path)}")


def made_anew(path: Path) -> str:
    """What to do about a file that cannot be used: the pipeline makes whatever is missing."""
    return f"remove it with `rm {shlex.quote(str(path))}` and run the same command again"


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


def canonical(content: Any) -> str:
    """The one JSON text of a content: sorted keys, no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest_of(content: Any) -> str:
    """A name for a content: the start of the checksum of its canonical JSON."""
    return digest_of_text(canonical(content))


def digest_of_text(text: str) -> str:
    """The same of a content's canonical JSON."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """The checksum of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_planned(path: Path, digest: str | None) -> Any:
    """Read what planning wrote: a job, a part of the instances, or a plan. Raises FileError where it is
    not readable, or where its content is not that of ``digest``."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise unreadable(path, "JSON file", error) from error
    if digest is not None and digest_of(content) != digest:
        raise FileError(
            f"{path} is not what was planned, its settings were changed since: run the same command again"
        )
    return content


def write_if_other(text: str, path: Path) -> None:
    """Write a text where the file does not hold just that, so that it stays as it is if nothing changed."""
    content = text.encode()
    if not path.is_file() or path.read_bytes() != content:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)


def write_json(content: Any, path: Path) -> None:
    """Write indented JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_record(record: dict[str, Any], path: Path) -> None:
    """Write a run's record, with a checksum among its keys."""
    write_json(record | {"sha256": _digest(record)}, path)


def read_record(path: Path) -> dict[str, Any]:
    """Read a run's record. Raises FileError when it is not what was written."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "sha256" not in record:
            raise ValueError("it is of another program or version")
        if record.pop("sha256") != _digest(record):
            raise ValueError("its content does not match its checksum")
    except (ValueError, RecursionError) as error:
        raise unreadable(path, "record", error) from error
    return record


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, Any]:
    """Versions, commit and host, for the record of a run."""
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "host": platform.node(),
        "platform": platform.platform(),
    }


def _version(package: str) -> str:
    """Of an installed package; this one may be run from its sources."""
    try:
        return version(package)
    except PackageNotFoundError:
        return f"{__version__}, not installed" if package == "layerwise" else "not installed"
