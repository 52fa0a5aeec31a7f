"""How close the moment engine is to the machine's limit: timings, as tables. docs/speed.md explains."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from layerwise.benchmark import end_to_end, engines, floor, scaling, single_index
from layerwise.benchmark.sizes import Sizes
from layerwise.results.files import environment, write_json
from layerwise.results.tables import write_table


def run(sizes: Sizes, device: str, folder: Path) -> dict[str, pd.DataFrame]:
    """Measure engines, scaling and floor for each number of threads; write each table to ``folder`` as
    CSV once a part of it is there, and machine.json beside them.

    On a GPU the number of the host's threads stays at one.
    """
    counts = [1] if device == "cuda" else [n for n in sizes.threads if n <= (os.cpu_count() or 1)]
    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    write_json(environment() | {"cpus": os.cpu_count(), "gpu": gpu}, folder / "machine.json")
    tables: dict[str, pd.DataFrame] = {}
    for threads in counts:
        torch.set_num_threads(threads)
        for name, table in _tables(sizes, threads, device):
            parts = [tables[name], table] if name in tables else [table]
            tables[name] = pd.concat(parts, ignore_index=True)
            write_table(tables[name], folder / f"{name}.csv")
    return tables


def _tables(sizes: Sizes, threads: int, device: str) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "engines", engines.measure(sizes, threads, device)
    yield "end_to_end", end_to_end.measure(sizes, threads, device)
    yield "single_index", single_index.measure(sizes, threads, device)
    yield "scaling", scaling.measure(sizes, threads, device)
    yield "second_order", scaling.second_order(sizes, threads, device)
    for dtype in ("float64", "float32"):
        yield "floor", floor.measure(sizes, threads, device, dtype)
