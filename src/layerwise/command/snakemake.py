"""The project's Snakemake pipeline as other programs start it: settings, command, signals. No torch."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NamedTuple

from layerwise.planning.places import PROJECT
from layerwise.planning.request import Request
from layerwise.results.files import digest_of, write_json

INTERRUPTED = 130  # the exit code of shells for a program that Ctrl-C ended


class Due(NamedTuple):
    """A job that Snakemake would run, and why: a name of explain's REASONS, or Snakemake's own words."""

    rule: str
    wildcards: dict[str, str]
    reason: str
    changed: list[str]  # the inputs that are newer


def snakemake(settings: Path, options: Sequence[str]) -> list[str]:
    """Snakemake's command. Hydra's overrides do not survive its --config, so they go by a file."""
    return [sys.executable, "-m", "snakemake", "--configfile", str(settings), *options]


def reproduce(request: Request, options: Sequence[str]) -> int:
    """Run the pipeline; its exit code. An interrupt ends it and its jobs, with exit code 130."""
    digest = digest_of(request.settings)[:8]
    # Jobs on a cluster read the file too, so it lies with the results and stays.
    settings = PROJECT / f"results{request.label}" / "settings" / f"{digest}.json"
    write_json(request.settings, settings)
    view = ["--logger", "rich"] if sys.stderr.isatty() else []
    return _run_to_the_end(snakemake(settings, [*view, *options]))


def _run_to_the_end(command: Sequence[str]) -> int:
    """Run a command in a process group of its own, which gets one SIGINT for whatever asks us to stop.

    Snakemake on its own waits for its jobs: a terminal's Ctrl-C reaches them too, other signals do not.
    """
    process: subprocess.Popen[bytes] | None = None
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if process is not None and not stopped:
            os.killpg(process.pid, signal.SIGINT)
        stopped = True

    # Before the start, so that Snakemake does not inherit that a signal is ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        signal.signal(signal.SIGHUP, stop)
    process = subprocess.Popen(
        command, cwd=PROJECT, env=_environment(), stdin=subprocess.DEVNULL, process_group=0
    )
    code = process.wait()
    return INTERRUPTED if stopped else code


def due(request: Request) -> list[Due]:
    """The jobs of a dry run. Raises CalledProcessError, with what was said, where it fails."""
    with TemporaryDirectory() as folder:
        settings, jobs = Path(folder, "settings.json"), Path(folder, "jobs.json")
        write_json(request.settings, settings)
        subprocess.run(
            [sys.executable, "-m", "layerwise.command.dry_run", str(settings), str(jobs)],
            cwd=PROJECT, env=_environment(), check=True, encoding="utf-8", errors="backslashreplace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return [Due(**job) for job in json.loads(jobs.read_text(encoding="utf-8"))]


def _environment() -> dict[str, str]:
    """The environment of the pipeline: shell rules find the `python` that runs this, and it the package
    that runs this; Snakemake finds a cache, and files are in UTF-8 whatever the user's locale."""
    sources = [str(PROJECT / "src")] if (PROJECT / "src").is_dir() else []
    # The pipeline works in the project's folder, whatever the one that the command is called from.
    given = [
        os.path.abspath(one) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one
    ]
    last = [folder for folder in given if _hides(folder, sources)]
    first = [folder for folder in given if folder not in last]
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([*sources, *first]),
        "LAYERWISE_PATH": os.pathsep.join(last),
        "PYTHONUTF8": "1",
    }
    # A profile of the user's may have results not made again that are due, and a Python that stays to be
    # inspected ends as one that failed.
    for name in ("SNAKEMAKE_PROFILE", "PYTHONINSPECT"):
        environment.pop(name, None)
    if not _has_cache():
        environment["XDG_CACHE_HOME"] = str(PROJECT / ".snakemake" / "cache")
    return environment


def _hides(folder: str, sources: Sequence[str]) -> bool:
    """Whether a folder on Python's path has what would be taken for the project's package, an installed one
    or a module of Python's own."""
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sources}
    own = sys.stdlib_module_names.union(one.name for one in iter_modules(installed))
    return any(one.name in own for one in iter_modules([folder]))


def _has_cache() -> bool:
    """Whether Snakemake's cache can be made where it usually is, in the home. It stops where not."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "snakemake"
    try:
        usual.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(usual, os.W_OK)
