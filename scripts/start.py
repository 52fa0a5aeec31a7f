"""Run a script of this folder, where there is one in a process that has its libraries loaded already.

    python -I -S scripts/start.py scripts/simulate.py ARGUMENTS

Most of a short job's time is Python importing torch, pandas and matplotlib. On Linux the jobs of a
Snakemake, which says its process and a name in LAYERWISE_WARM, share a process that imports them once and
forks for each job (warm.py); the first job starts it. Elsewhere, and for a job whose surroundings differ
from that process's, the script starts as usual. With -I and -S, and with little imported here, this takes a
few hundredths of a second.
"""

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

# Tells nothing about what a job does.
ASIDE = ("PWD", "OLDPWD", "SHLVL", "_")


def main() -> None:
    words, warm = sys.argv[1:], os.environ.pop("LAYERWISE_WARM", "")
    if warm and sys.platform == "linux":
        status = ran(words, *warm.split())
        if status is not None:
            sys.exit(status)
    os.execv(sys.executable, [sys.executable, *words])


def ran(words: list[str], process: str, name: str) -> int | None:
    """The script's exit status in the shared process; None where it has not been run there."""
    job = {"words": words, "folder": os.getcwd(), "surroundings": surroundings()}
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            try:
                connection.connect(f"\0{name}")
            except ConnectionRefusedError:
                _start_warm(process, name)
                connection.connect(f"\0{name}")
            socket.send_fds(connection, [json.dumps(job).encode() + b"\n"], [0, 1, 2])
            answers = connection.makefile("r")
            if answers.readline() != "taken\n":
                return None
        except OSError:
            return None
        with answers, suppress(OSError, ValueError):
            return int(answers.readline())
        return 1  # it has taken the job, and was killed


def surroundings() -> list[object]:
    """What a process must share with a job to run it."""
    return [sys.executable, {key: value for key, value in os.environ.items() if key not in ASIDE}]


def _start_warm(process: str, name: str) -> None:
    """Start it on its own, so that it does not hold this job's streams, unless another job just has."""
    script = Path(__file__).with_name("warm.py")
    nowhere = subprocess.DEVNULL
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(64)
        subprocess.Popen(
            [sys.executable, str(script), process, str(listener.fileno())],
            pass_fds=[listener.fileno()], stdin=nowhere, stdout=nowhere, stderr=nowhere,
            start_new_session=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
