"""The folders of results: which there are, what each is of, its size and age, and its end. No torch."""

import json
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from layerwise.settings.validation import ConfigError, nearest

# In a folder of results: which scale and overrides it is of.
TOLD = "settings.json"


# What lies in a folder of results beside its experiments.
INSIDE = ("logs", "benchmarks", "settings", TOLD)


class Folder(NamedTuple):
    """A folder of results, with the figures of the same name."""

    label: str  # empty for the paper's scale as it stands
    results: Path
    figures: Path
    scale: str
    overrides: tuple[str, ...] | None  # None where the folder does not say it
    experiments: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called where a name is needed."""
        return self.label or self.scale

    @property
    def files(self) -> list[Path]:
        """All its files, those of the figures included. The folders without a label hold the others, whose
        files are not theirs."""
        if self.label:
            parts = [self.results, self.figures]
            return [path for part in parts for path in part.rglob("*") if path.is_file()]
        below = [path for part in _own_folders(self) for path in (part, *part.rglob("*"))]
        drawn = [path for path in self.figures.glob("*") if not path.name.startswith(".")]
        return [path for path in (*below, *drawn) if path.is_file()]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def changed(self) -> float:
        """When its newest file was written, in seconds since the epoch."""
        return max((path.stat().st_mtime for path in self.files), default=0.0)


def folders(project: Path, scales: list[str], experiments: list[str]) -> list[Folder]:
    """Every folder of results of a project, those without overrides first."""
    found = []
    root = project / "results"
    standing = ["", *(scale for scale in scales if scale != "paper")]
    labels = sorted(
        path.name
        for path in root.glob("*")
        if path.is_dir() and path.name[0] != "." and path.name not in (*experiments, *INSIDE)
    )
    for label in sorted({*labels, ""}, key=lambda label: (label not in standing, label)):
        results = root / label
        own = tuple(name for name in experiments if (results / name).is_dir())
        scale, overrides = _told(results, label, standing)
        folder = Folder(label, results, project / "figures" / label, scale, overrides, own)
        if folder.files:
            found.append(folder)
    return found


def _told(results: Path, label: str, standing: list[str]) -> tuple[str, tuple[str, ...] | None]:
    """The scale and overrides of a folder, by what it says, else by its name."""
    if label in standing:
        return label or "paper", ()
    try:
        told = json.loads((results / TOLD).read_text(encoding="utf-8"))
        return str(told["scale"]), tuple(map(str, told["overrides"]))
    except (OSError, ValueError, KeyError, TypeError):
        return label.rpartition("-")[0] or label, None


def named(label: str, found: list[Folder]) -> Folder:
    """The folder of a name. Raises ConfigError, with the nearest, where there is none."""
    name = label.strip("/").removeprefix("results/")
    for folder in found:
        if name == folder.name:
            return folder
    names = [folder.name for folder in found]
    raise ConfigError(
        f"the folder {label!r} is unknown{nearest(name, names)} (allowed are "
        f"{', '.join(names) or 'none, there are no results'})"
    )


def remove(folder: Folder) -> None:
    """Delete a folder's results and figures, and nothing of another's. A folder is first renamed, so that
    what is half deleted is not taken for results."""
    whole = [folder.results, folder.figures] if folder.label else _own_folders(folder)
    for part in whole:
        if part.is_dir():
            going = part.with_name(f".{part.name}.removed")
            shutil.rmtree(going, ignore_errors=True)
            part.rename(going)
            shutil.rmtree(going)
    for path in folder.files:
        path.unlink()


def _own_folders(folder: Folder) -> list[Path]:
    """The parts of the results without overrides, beside those of the others."""
    own = [folder.results / name for name in (*folder.experiments, *INSIDE)]
    return [*own, *(path for path in folder.results.glob("[!.]*.*") if path.is_file())]


def size_text(size: int) -> str:
    """Bytes for people."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def age_text(changed: float) -> str:
    """How long ago, for people."""
    seconds = max(time.time() - changed, 0)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count > 1)} ago"
    return "just now"
