"""Python with libraries loaded: `python loaded_python.py LISTENING SESSION` forks for each Python that
forks/sitecustomize.py brings, until the process SESSION ends. Nothing of the project is loaded before.
Linux alone; imported by no test."""

import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

# What programs, rules and jobs import.
LIBRARIES = (
    "snakemake.cli", "torch", "pytorch_optimizer", "pandas", "pyarrow.parquet", "matplotlib.pyplot",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf", "PIL.Image", "vl_convert",
    "hydra", "hydra.core.override_parser.overrides_parser", "omegaconf", "pydantic", "grimp", "typer",
    "psutil",
)  # fmt: skip
CHUNK = 2**16  # bytes of a call that are read at once
leave = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "warm.py"))["leave"]
HIGH = 256  # streams that are on their way to their numbers have higher ones


def main() -> None:
    listening, session = map(int, sys.argv[1:])
    for name in LIBRARIES:
        importlib.import_module(name)
    importlib.import_module("snakemake.cli").get_argument_parser()  # and its plugins
    assert not any(name.split(".")[0] == "layerwise" for name in sys.modules)
    gc.freeze()  # so that collecting garbage copies none of it for a call
    call = serve(listening, os.pidfd_open(session))
    if call is None:
        return
    try:
        run(**call)
        leave(0)
    except SystemExit as end:
        if isinstance(end.code, str):  # which Python says
            raise
        leave(end.code or 0)


def serve(listening: int, ended: int) -> dict[str, Any] | None:
    """In a fork for it, a call; None once the session has ended. Each is told how its call ended, which is
    killed where the one who called is gone."""
    running: dict[int, tuple[socket.socket, int]] = {}
    with socket.socket(fileno=listening) as listener:
        while True:
            connections = [connection for connection, _ in running.values()]
            ready = select.select([listener, ended, *running, *connections], [], [])[0]
            if ended in ready:
                return None
            for process, (connection, pid) in list(running.items()):
                if process in ready:
                    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with connection, suppress(OSError):  # where it is gone
                        connection.sendall(f"{status}".encode())
                    os.close(process)
                    del running[process]
                elif connection in ready:
                    os.kill(pid, signal.SIGKILL)
            if listener in ready:
                connection, _ = listener.accept()
                try:
                    call = received(connection)
                except (OSError, ValueError):  # it is gone already
                    connection.close()
                    continue
                pid = os.fork()
                if pid == 0:
                    return call
                for stream in call["given"]:
                    os.close(stream)
                running[os.pidfd_open(pid)] = connection, pid


def received(connection: socket.socket) -> dict[str, Any]:
    """What is to be run, as :func:`run` takes it."""
    text, given, _, _ = socket.recv_fds(connection, CHUNK, 16)
    while text and not text.endswith(b"\n"):
        text += connection.recv(CHUNK)
    return {"given": given, **json.loads(text)}


def run(
    given: list[int],
    words: list[str],
    program: str,
    folder: str,
    environment: dict[str, str],
    path: list[str],
    streams: list[int],
) -> None:
    """As Python runs a program, a module after -m or a command after -c, with ``given`` at the numbers of
    ``streams``."""
    given = [fcntl.fcntl(one, fcntl.F_DUPFD, HIGH) for one in given]
    os.closerange(3, HIGH)
    for one, number in zip(given, streams, strict=True):
        os.dup2(one, number)
        os.close(one)
    for number, name in enumerate(("stdin", "stdout", "stderr")):  # of other files than they were
        old = getattr(sys, name)
        new = open(  # noqa: SIM115 – for as long as the program runs
            number, old.mode, 1 if number == 2 else -1, old.encoding, old.errors, closefd=False
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.executable = program
    option, *rest = words
    if option == "-m":
        sys.argv, sys.path[:] = rest, [folder, *path]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif option == "-c":
        sys.argv, sys.path[:] = [option, *rest[1:]], ["", *path]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[:] = words, [str(Path(option).resolve().parent), *path]
        runpy.run_path(option, run_name="__main__")


if __name__ == "__main__":
    main()
