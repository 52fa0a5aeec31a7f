"""Import the libraries of jobs once, and fork for each job that start.py brings. Linux alone.

    python scripts/warm.py PROCESS LISTENING

It listens at a socket that it gets, and ends with the Snakemake whose PROCESS it is. A job gets its own
folder and streams; its surroundings must be those that this process started in, since libraries read some
of them when they are imported. Where a job's start.py ends before the job, as it does when Snakemake stops,
the job is killed.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn

# What drawing imports by name.
BACKENDS = ("matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf")
# By its place, since a user may have Python leave this folder out of its path.
surroundings = runpy.run_path(str(Path(__file__).with_name("start.py")))["surroundings"]
CHUNK = 2**16  # bytes of a job's description that are read at once


class Job(NamedTuple):
    """What is to be run, in which folder, and the streams that it gets."""

    words: list[str]
    folder: str
    streams: list[int]


def main() -> None:
    process, listening = map(int, sys.argv[1:])
    with socket.socket(fileno=listening) as listener:
        job = serve(listener, process, surroundings())
    if job is not None:
        run(job)
        leave(0)


@cache
def load(script: Path) -> None:
    """Import what a script of this folder does. Where that fails the job will say so."""
    if script.parent != Path(__file__).parent:
        return
    with suppress(Exception):
        runpy.run_path(str(script), run_name="imported")
        for module in later(script.name):
            importlib.import_module(module)
    gc.freeze()  # so that collecting garbage copies none of it for a job


def later(script: str) -> Iterable[str]:
    """What a script imports by name while a job runs."""
    if script == "simulate.py":
        from layerwise.settings.tasks import TASKS

        return [f"layerwise.tasks.{name}" for name in TASKS]
    return BACKENDS if script == "plot.py" else ()


def serve(listener: socket.socket, process: int, mine: list[object]) -> Job | None:
    """Fork for jobs until the process ends; in a fork, the job that it is for."""
    with selectors.DefaultSelector() as ready:
        ended = os.pidfd_open(process)
        ready.register(listener, selectors.EVENT_READ)
        ready.register(ended, selectors.EVENT_READ)
        running: dict[socket.socket, tuple[int, int]] = {}
        while True:
            for key, _ in ready.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    job = taken(connection, mine)
                    if job is None:
                        connection.close()
                        continue
                    pid = os.fork()
                    if pid == 0:
                        for other in (connection, *running):
                            other.close()
                        return job
                    for stream in job.streams:
                        os.close(stream)
                    running[connection] = pid, os.pidfd_open(pid)
                    ready.register(connection, selectors.EVENT_READ)
                    ready.register(running[connection][1], selectors.EVENT_READ, connection)
                elif key.fileobj == ended:
                    for pid, _ in running.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                elif key.data is not None:
                    finished(ready, key.data, *running.pop(key.data))
                elif key.fileobj in running:  # its start.py is gone
                    ready.unregister(key.fileobj)
                    os.kill(running[key.fileobj][0], signal.SIGKILL)


def taken(connection: socket.socket, mine: list[object]) -> Job | None:
    """The job of a connection, once its libraries are imported and its start.py has been told; None where
    it is not for this process, or its start.py is gone."""
    job = None
    try:
        job = received(connection, mine)
        if job is not None:
            load(Path(job.folder, job.words[0]))
            connection.sendall(b"taken\n")
    except OSError:
        for stream in job.streams if job is not None else ():
            os.close(stream)
        return None
    return job


def received(connection: socket.socket, mine: list[object]) -> Job | None:
    """The job of a connection; none of another user's, nor one with other surroundings."""
    connection.settimeout(10)
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if struct.unpack("3i", peer)[1] != os.getuid():
        return None
    text, streams, _, _ = socket.recv_fds(connection, CHUNK, 3)
    while text and not text.endswith(b"\n"):
        more = connection.recv(CHUNK)
        text = text + more if more else b""
    job = json.loads(text) if text else {}
    if len(streams) != 3 or job.get("surroundings") != mine:
        for stream in streams:
            os.close(stream)
        return None
    return Job(job["words"], job["folder"], streams)


def finished(
    ready: selectors.BaseSelector, connection: socket.socket, pid: int, descriptor: int
) -> None:
    """Tell a start.py, if it is still there, how its job ended."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ready.unregister(descriptor)
    os.close(descriptor)
    with suppress(KeyError):  # where it is gone
        ready.unregister(connection)
    with connection, suppress(OSError):
        connection.sendall(f"{status if status >= 0 else 128 - status}\n".encode())


def run(job: Job) -> None:
    """As Python runs a script: its exit status and its last words are this process's."""
    for own, (given, name) in enumerate(
        zip(job.streams, ("stdin", "stdout", "stderr"), strict=True)
    ):
        os.dup2(given, own)
        os.close(given)
        before = getattr(sys, name)
        stream = open(  # noqa: SIM115 – for as long as the script runs
            own, before.mode, 1 if own else -1, before.encoding, before.errors, closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    # The folder that matplotlib makes where it may not write into the home is the shared process's.
    atexit.unregister(shutil.rmtree)
    os.chdir(job.folder)
    sys.argv = job.words
    runpy.run_path(job.words[0], run_name="__main__")


def leave(status: int) -> NoReturn:
    """End as Python does, but for taking apart all that is loaded: in a fork that copies its memory, and
    takes longer than most jobs."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
