"""In what an experiment's problems differ: the axes that a reader chooses from, and what all share."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from layerwise.results.descriptions import ALONG, GRIDS, METRICS, setting

# Columns that tell what a row is of; neither settings nor measured.
RUNS = {"rule", "network", "seed", "stage", "status", "diverged_at"}
IDENTITY = {"problem", "method", *RUNS, *ALONG, *GRIDS}


@dataclass(frozen=True)
class Axis:
    """A setting by which problems differ. ``labels`` also names the settings that change with it."""

    key: str
    label: str
    values: list[float | str]
    labels: list[str]
    numeric: bool

    def place(self, value: Any) -> int:
        """Where a table's value is among its own."""
        return self.values.index(float(value) if self.numeric else _shown(value))

    @property
    def content(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self)


@dataclass(frozen=True)
class Problems:
    """Axes, each problem's place on them, in the order of the table, and what all problems share."""

    names: list[str]
    axes: list[Axis]
    places: list[list[int]]
    fixed: dict[str, float | str]

    @property
    def crossed(self) -> bool:
        """Whether there is a problem for every combination of values."""
        return math.prod(len(axis.values) for axis in self.axes) == len(self.names)

    @property
    def words(self) -> dict[str, str]:
        """Each problem's settings, by its name."""
        return {
            name: ", ".join(
                f"{axis.label} = {axis.labels[at]}"
                for axis, at in zip(self.axes, place, strict=True)
            )
            or "the only problem"
            for name, place in zip(self.names, self.places, strict=True)
        }


def metric_columns(table: pd.DataFrame) -> list[str]:
    """The measured columns with a value, described ones first; of others those that are no settings."""
    listed = [name for name in METRICS if name in table]
    free = [name for name, setting in _undescribed(table).items() if not setting]
    others = [name for name in free if pd.api.types.is_float_dtype(table[name])]
    return [name for name in (*listed, *others) if table[name].notna().any()]


def _undescribed(table: pd.DataFrame) -> dict[str, bool]:
    """The columns that are no described metrics, and whether each is a setting: one value a problem."""
    names = [name for name in map(str, table) if name not in METRICS and name not in IDENTITY]
    values = table.groupby("problem")[names].nunique(dropna=False)
    return {name: bool((values[name] <= 1).all()) for name in names}


def problems_of(table: pd.DataFrame) -> Problems:
    """Read from a table which has a row or more for each problem."""
    settings = [name for name, setting in _undescribed(table).items() if setting]
    each = table.drop_duplicates("problem").set_index("problem")[settings]
    differing = [name for name in settings if each[name].nunique(dropna=False) > 1]
    axes = [_axis(each, group) for group in _groups(each[differing])]
    places = [[axis.place(each.loc[name, axis.key]) for axis in axes] for name in each.index]
    shared = {name: each[name].iloc[0] for name in settings if name not in differing}
    fixed = {name: _plain(value) for name, value in shared.items() if not pd.isna(value)}
    return Problems([str(name) for name in each.index], axes, places, fixed)


def _groups(each: pd.DataFrame) -> list[list[str]]:
    """Settings that go together, one to one, share an axis, named first; an axis that the others
    determine, as a tag may be, is none."""
    keys = sorted(map(str, each), key=lambda key: is_numeric_dtype(each[key]))
    text = {key: each[key].map(_key) for key in keys}
    groups: list[list[str]] = []
    for key in keys:
        for group in groups:
            pairs = len(set(zip(text[key], text[group[0]], strict=True)))
            if pairs == text[key].nunique() == text[group[0]].nunique():
                group.append(key)
                break
        else:
            groups.append([key])
    for group in list(groups):
        rest = [text[other[0]] for other in groups if other is not group]
        if rest and text[group[0]].groupby(rest).nunique().max() == 1:
            groups.remove(group)
    return groups


def _axis(each: pd.DataFrame, group: list[str]) -> Axis:
    key, *more = group
    column = each[key]
    numeric = is_numeric_dtype(column) and not column.isna().any()
    rows = each.drop_duplicates(key)
    rows = rows.sort_values(key) if numeric else rows
    labels = []
    for _, row in rows.iterrows():
        with_it = ", ".join(f"{setting(name)} = {_shown(row[name])}" for name in more)
        labels.append(_shown(row[key]) + (f" ({with_it})" if with_it else ""))
    values = [_plain(value) if numeric else _shown(value) for value in rows[key]]
    return Axis(key, setting(key), values, labels, numeric)


def _key(value: Any) -> str:
    """Equal for equal values, whatever the type that a table gave them."""
    return _shown(value) if isinstance(value, str) or pd.isna(value) else repr(float(value))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "same as in training" if pd.isna(value) else f"{value:g}"


def _plain(value: Any) -> float | str:
    return value if isinstance(value, str) else float(value)
