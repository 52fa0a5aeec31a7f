"""Snakemake's lock on the checkout, in words: who holds it, or how to remove it. No torch."""

from pathlib import Path

import psutil


def explained(project: Path) -> str | None:
    """What holds the lock on ``project`` and what can be done; None where nothing is locked.

    Snakemake locks the files that a call is going to make, and a killed call leaves its lock.
    """
    if not any(project.glob(".snakemake/locks/*")):
        return None
    found = _at_work(project)
    if found is not None:
        return (
            f"process {found.pid} makes results in this folder, since it holds Snakemake's lock: wait "
            f"for it, or stop it with `kill -INT {found.pid}`"
        )
    return (
        "a run that was killed has left Snakemake's lock, and no other runs here: remove it with "
        "`layerwise reproduce -- --unlock`, unless another machine works in this folder"
    )


def _at_work(project: Path) -> psutil.Process | None:
    """The oldest Snakemake that runs in ``project``."""
    running = []
    for process in psutil.process_iter(["cmdline", "cwd", "create_time"]):
        words, folder = process.info["cmdline"] or [], process.info["cwd"]
        # Python, perhaps with options, then the program or -m and its name.
        named = any(Path(word).name == "snakemake" for word in words[:4])
        if named and folder and Path(folder).resolve() == project.resolve():
            running.append(process)
    return min(running, key=lambda process: process.info["create_time"], default=None)
