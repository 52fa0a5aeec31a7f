"""What differs between two folders of results: settings, selected choices, and metrics, paired by seeds.
No torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from layerwise.claims.claim import RESAMPLES
from layerwise.claims.interval import recentred
from layerwise.data.streams import generator
from layerwise.results.columns import SUMMARISED
from layerwise.results.files import read_record
from layerwise.results.folders import Folder
from layerwise.results.provenance import flat, record_of
from layerwise.results.tables import read_table
from layerwise.settings.validation import ConfigError

# Settings that name a cell, or that its name holds.
VARIANT = ["damping", "lr"]


class Side(NamedTuple):
    """An experiment's results in one of the folders."""

    settings: dict[str, dict[str, Any]]  # of each method: what its cells say, by dotted keys
    choices: (
        pd.DataFrame | None
    )  # a row for each problem and method; None where nothing is selected
    values: pd.DataFrame  # rows (problem, method, …, seed), a column for each metric


def compared(first: Folder, second: Folder) -> list[str]:
    """Lines on what differs, experiment by experiment. Raises ConfigError where none is in both."""
    names = [name for name in first.experiments if name in second.experiments]
    ready = [name for name in names if all(_is_there(one, name) for one in (first, second))]
    if not ready:
        raise ConfigError(
            f"the folders {first.name!r} and {second.name!r} share no reduced experiment: there are "
            f"{', '.join(first.experiments) or 'none'} and {', '.join(second.experiments) or 'none'}"
        )
    lines = [f"A {_of(first)}", f"B {_of(second)}"]
    for name in ready:
        lines += ["", name, *_experiment(_side(first.results / name), _side(second.results / name))]
    return lines


def _of(folder: Folder) -> str:
    return f"{folder.name}: {' '.join(folder.overrides or ()) or 'no overrides known'}"


def _is_there(folder: Folder, name: str) -> bool:
    here = folder.results / name
    return (here / "plan.json").is_file() and any(
        (here / f"{table}.parquet").is_file() for table in ("summary", "runs")
    )


def _side(folder: Path) -> Side:
    """Read an experiment's tables, and the records of its runs, wherever they lie."""
    project = next(parent for parent in folder.parents if parent.name == "results").parent
    jobs = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["jobs"]
    cells = [
        cell["configuration"]
        for job in jobs
        for cell in read_record(record_of(project / job["table"]))["cells"]
    ]
    settings: dict[str, dict[str, set[str]]] = {}
    for cell in cells:
        own = settings.setdefault(cell["method"]["name"], {})
        for key, value in flat(cell).items():
            own.setdefault(key, set()).add(json.dumps(value))
    joined = {
        method: {key: " | ".join(sorted(values)) for key, values in own.items()}
        for method, own in settings.items()
    }
    keys = ["problem", "method"]
    if (folder / "selection.parquet").is_file():
        choices = _named_alike(read_table(folder / "selection.parquet"))
        rows = _named_alike(read_table(folder / "summary.parquet"))
        rows = rows.merge(choices[[*keys, *VARIANT]], on=[*keys, *VARIANT])
    else:
        choices, keys = None, [*keys, *VARIANT]
        runs = _named_alike(read_table(folder / "runs.parquet"))
        rows = runs.loc[runs.groupby([*keys, "seed"], dropna=False)["step"].idxmax()]
    measured = [*dict.fromkeys(m for cell in cells for m in cell["task"]["metrics"]), *SUMMARISED]
    metrics = [name for name in measured if name in rows]
    return Side(joined, choices, rows.set_index([*keys, "seed"])[metrics])


def _named_alike(table: pd.DataFrame) -> pd.DataFrame:
    """With problems called by what the experiment varies, without the digest of all their settings."""
    return table.assign(problem=table["problem"].str.replace(r"_[0-9a-f]{8}$", "", regex=True))


def _experiment(a: Side, b: Side) -> list[str]:
    lines = _alone("methods", a.settings, b.settings)
    lines += [
        f"  setting  {method}: {key} = {one.get(key)} in A, {other.get(key)} in B"
        for method, one in a.settings.items()
        for other in [b.settings.get(method, {})]
        for key in sorted(one.keys() | other.keys() if other else ())
        if one.get(key) != other.get(key)
    ]
    if a.choices is not None and b.choices is not None:
        lines += _choices(a.choices, b.choices)
    lines += _metrics(a.values, b.values)
    return lines or ["  the same"]


def _alone(what: str, a: Any, b: Any) -> list[str]:
    """Of what is only in one of both."""
    return [
        f"  {what} only in {side}: {', '.join(map(str, only))}"
        for side, only in (
            ("A", [one for one in a if one not in b]),
            ("B", [one for one in b if one not in a]),
        )
        if only
    ]


def _choices(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    keys = ["problem", "method"]
    both = a.merge(b, on=keys, suffixes=("_a", "_b"))
    lines = []
    for row in both.to_dict("records"):
        for axis in VARIANT:
            one, other = row[f"{axis}_a"], row[f"{axis}_b"]
            if one != other and not (pd.isna(one) and pd.isna(other)):
                where = f"{row['method']} on {row['problem']}"
                lines.append(f"  choice   {where}: {axis} = {one:g} in A, {other:g} in B")
    return lines


def _metrics(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Lines on metrics that differ: means over the shared seeds, and B less A with its interval."""
    cells, there = _by_cell(a), _by_cell(b)
    lines = _alone("problems", {cell[0]: 0 for cell in cells}, {cell[0]: 0 for cell in there})
    for cell in (cell for cell in cells if cell in there):
        one, other = cells[cell], there[cell]
        seeds = one.index.intersection(other.index)
        if not len(seeds):
            lines.append(f"  metric   {_cell(cell)}: no seed in common")
        for metric in (name for name in a if name in b and len(seeds)):
            x, y = (side[metric].reindex(seeds).to_numpy(dtype=float) for side in (one, other))
            if not np.array_equal(x, y, equal_nan=True):
                lines.append(f"  metric   {_cell(cell)}: {metric} {_difference(x, y)}")
    return lines


def _by_cell(values: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """The rows of each problem, method and what else a row is of, by their seeds."""
    keys = [name for name in values.index.names if name != "seed"]
    groups = values.groupby(level=keys, sort=False, dropna=False)
    return {cell: rows.droplevel(keys) for cell, rows in groups}


def _cell(cell: Sequence[Any]) -> str:
    variant = [f"{axis} {value:g}" for axis, value in zip(VARIANT, cell[2:], strict=False)]
    return ", ".join([f"{cell[1]} on {cell[0]}", *variant])


def _difference(x: np.ndarray, y: np.ndarray) -> str:
    """Means of both, and of their differences by seeds with the 95 % interval over resampled seeds."""
    picks = generator("comparison bootstrap", 0).integers(0, len(x), size=(RESAMPLES, len(x)))
    with np.errstate(invalid="ignore"):  # of runs that never arrive, infinity less infinity
        apart = y - x
        value = float(apart.mean())
        low, high = recentred(value, apart[picks].mean(axis=1))
    interval = f" [{low:+.3g}, {high:+.3g}]" if len(x) > 1 else ""
    return f"{x.mean():.4g} in A, {y.mean():.4g} in B, {value:+.3g}{interval} over {len(x)} seeds"
