"""The project's Snakemake pipeline as other programs start it: settings, command, signals. No torch."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NamedTuple

from layerwise.planning.method_files import CONFIG_DIR
from layerwise.planning.request import Request
from layerwise.results.files import digest_of, write_json

PROJECT = CONFIG_DIR.parent
INTERRUPTED = 130  # the exit code of shells for a program that Ctrl-C ended


class Due(NamedTuple):
    """A job that Snakemake would run, and why."""

    rule: str
    wildcards: dict[str, str]
    reason: str


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
    """The jobs of a dry run. Raises CalledProcessError, with Snakemake's output, where it fails."""
    with TemporaryDirectory() as folder:
        settings = Path(folder, "settings.json")
        write_json(request.settings, settings)
        done = subprocess.run(
            snakemake(settings, ["--dry-run"]), cwd=PROJECT, env=_environment(), check=True,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    shown = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", done.stdout, re.MULTILINE)
    return [
        Due(
            rule,
            dict(re.findall(r"(\w+)=([^,]+)", _field(text, "wildcards"))),
            _field(text, "reason"),
        )
        for rule, text in shown
    ]


def _field(text: str, name: str) -> str:
    found = re.search(rf"^    {name}: (.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def _environment() -> dict[str, str]:
    """The environment in which shell rules find the `python` that runs this, and Snakemake a cache."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    if not _has_cache():
        environment["XDG_CACHE_HOME"] = str(PROJECT / ".snakemake" / "cache")
    return environment


def _has_cache() -> bool:
    """Whether Snakemake's cache can be made where it usually is, in the home. It stops where not."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "snakemake"
    try:
        usual.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(usual, os.W_OK)
