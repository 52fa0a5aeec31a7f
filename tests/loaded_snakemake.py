"""Snakemake with its libraries loaded: `python loaded_snakemake.py`, with a socket as its input, forks for
each call that comes. Nothing of the project is loaded before. Imported by no test."""

import gc
import importlib
import json
import os
import runpy
import socket
import sys

# What rules and plans import beside Snakemake.
LIBRARIES = ("pandas", "pyarrow.parquet", "hydra", "hydra.core.override_parser.overrides_parser")
LIBRARIES += ("omegaconf", "pydantic", "grimp", "matplotlib", "psutil")


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    importlib.import_module("snakemake.cli").get_argument_parser()  # and its plugins
    assert not any(name.split(".")[0] == "layerwise" for name in sys.modules)
    gc.freeze()
    with socket.socket(fileno=0) as connection:
        while True:
            text, streams, _, _ = socket.recv_fds(connection, 2**20, 2)
            if not text:
                return
            pid = os.fork()
            if pid == 0:
                break
            for stream in streams:
                os.close(stream)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            connection.sendall(f"{status}\n".encode())
    call(*streams, **json.loads(text))


def call(
    out: int, err: int, arguments: list[str], folder: str, environment: dict[str, str]
) -> None:
    """As `python -m snakemake` would run."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [folder, *filter(None, paths), *sys.path[1:]]
    sys.argv = ["snakemake", *arguments]
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
