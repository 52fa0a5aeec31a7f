"""A Python with this folder on its path runs as a fork of a process that has libraries loaded already
(../loaded_python.py), and itself waits for how that ends. Linux alone; imported by no test."""

import json
import os
import signal
import socket
import sys


def main(name: str) -> None:
    """Return where there is no such process, or this Python was not told a program, module or command."""
    words = sys.orig_argv[1:]
    if not words or (words[0].startswith("-") and words[0] not in ("-m", "-c")):
        return
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(f"\0{name}")
        except OSError:
            return
        numbers = [int(number) for number in os.listdir("/proc/self/fd")]
        streams = [number for number in numbers if _is_inherited(number)]
        call = {
            "words": words, "program": sys.executable, "folder": os.getcwd(),
            "environment": dict(os.environ), "path": sys.path, "streams": streams,
        }  # fmt: skip
        socket.send_fds(connection, [json.dumps(call).encode() + b"\n"], streams)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        status = int(connection.recv(16) or 1)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _is_inherited(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # that by which they were listed
        return False


if "LOADED_PYTHON" in os.environ:
    main(os.environ["LOADED_PYTHON"])
