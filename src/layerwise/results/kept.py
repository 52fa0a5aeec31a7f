"""Texts that take long to make and follow from their names, kept in the user's cache between processes."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from layerwise.results.files import FileError, atomic_path


def kept(name: str) -> str | None:
    """The text that was kept; None where there is none, or it is damaged."""
    with suppress(OSError, UnicodeError):
        digest, _, text = _place(name).read_bytes().partition(b"\n")
        if digest.decode() == hashlib.sha256(text).hexdigest():
            return text.decode()
    return None


def keep(text: str, name: str) -> None:
    """Keep a text, where there is room for it."""
    content = text.encode()
    with suppress(FileError), atomic_path(_place(name)) as temporary:
        temporary.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def _place(name: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(cache), "layerwise", name)
