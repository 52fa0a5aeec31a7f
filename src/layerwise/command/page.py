"""The page of any folders of results: by label under results/, or by path. No torch."""

import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from layerwise.page.document import write
from layerwise.page.folder import FULL_SCALE, Folder, folder_of
from layerwise.planning.places import PROJECT
from layerwise.results.files import FileError
from layerwise.settings.validation import ConfigError

NAME = "page.html"


def make_page(labels: Sequence[str], out: Path | None = None) -> Path:
    """Write the page of folders of results, the full scale's where none is named, and return its path:
    beside the figures, or ``out``. Raises ConfigError for a label that names none."""
    found = [_folder(label) for label in dict.fromkeys(labels or [FULL_SCALE])]
    folders = [_told_apart(folder, found) for folder in found]
    place = out or _usual(found)
    write(folders, place)
    return place


def show(page: Path) -> None:
    """Open it where there is a browser."""
    webbrowser.open(page.resolve().as_uri())


def labels() -> list[str]:
    """The labels of the folders of results that are there."""
    under = PROJECT / "results"
    inner = sorted({path.parent.name for path in under.glob("*/about*.json")})
    return [FULL_SCALE] * bool([*under.glob("about*.json")]) + inner


def _folder(label: str) -> Folder:
    path = PROJECT / "results" if label == FULL_SCALE else PROJECT / "results" / label
    try:
        return folder_of(path if path.is_dir() else Path(label))
    except FileError as error:
        known = ", ".join(labels()) or "none yet"
        raise ConfigError(
            f"label = {label!r} is not allowed: {error} (there are: {known})"
        ) from None


def _told_apart(folder: Folder, found: Sequence[Folder]) -> Folder:
    """Of checkouts with a folder of the same name, by the checkout's name, or its path."""
    alike = [other.project for other in found if other.name == folder.name]
    if len(alike) == 1:
        return folder
    names = [project.name for project in alike]
    apart = len(set(names)) == len(names)
    return replace(
        folder, name=f"{folder.name} of {folder.project.name if apart else folder.project}"
    )


def _usual(found: Sequence[Folder]) -> Path:
    """One folder's page lies with its figures; one of several is named after them."""
    if len(found) == 1 and found[0].project == PROJECT:
        return found[0].figures / NAME
    names = "-".join(folder.name.replace("/", "-") for folder in found)
    return PROJECT / "figures" / f"page-{names}.html"
