"""Living with results: a list of their folders, and the end of one. No torch."""

from pathlib import Path

from layerwise.command import lock
from layerwise.planning.compose import options
from layerwise.results.folders import Folder, age_text, folders, named, size_text
from layerwise.results.folders import remove as remove_folder
from layerwise.settings.validation import ConfigError


def found_in(project: Path) -> list[Folder]:
    """Every folder of results."""
    return folders(project, options("scale"), options("experiment"))


def listed(project: Path) -> list[str]:
    """A line on each folder of results: its name, size, age and overrides."""
    rows = [
        (folder.name, size_text(folder.size), age_text(folder.changed), _of(folder))
        for folder in found_in(project)
    ]
    if not rows:
        return ["No results: `layerwise reproduce` makes them."]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{name:<{widths[0]}}  {size:>{widths[1]}}  {age:<{widths[2]}}  {of}"
        for name, size, age, of in rows
    ]


def _of(folder: Folder) -> str:
    experiments = ", ".join(folder.experiments) or "figures alone"
    if folder.overrides is None:
        return f"overrides unknown, of an earlier version ({experiments})"
    return f"{' '.join(folder.overrides) or 'without overrides'} ({experiments})"


def to_remove(project: Path, label: str, standing: bool) -> Folder:
    """The folder that is meant. Raises ConfigError for one that there is not, for results without
    overrides that are not meant by name (``standing``), and while a pipeline runs."""
    folder = named(label, found_in(project))
    if folder.overrides == () and not standing:
        raise ConfigError(
            f"the folder {folder.name!r} is not removed: it holds the results without overrides, which "
            "others read; --standing says that they are meant"
        )
    if why := lock.explained(project):
        raise ConfigError(f"the folder {folder.name!r} is not removed: {why}")
    return folder


def removed(folder: Folder) -> str:
    """Delete it, and say what has gone."""
    said = f"removed {folder.name}: {len(folder.files)} files, {size_text(folder.size)}"
    remove_folder(folder)
    return said
