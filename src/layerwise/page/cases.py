"""The cases of a part: the columns of its numbers by seed, under names for readers."""

from dataclasses import dataclass

import pandas as pd

from layerwise.page.folder import Folder
from layerwise.page.judged import Judged
from layerwise.results.descriptions import setting


@dataclass(frozen=True)
class Case:
    """A method, a problem or both, with its numbers by seed; ``alone`` is the statistic on these only, NaN
    where it takes several."""

    name: str
    values: pd.Series
    alone: float


def cases_of(claim: Judged, place: int, folder: Folder) -> list[Case]:
    """Of a claim's part. Cases with the same numbers, as of problems that differ in what a metric does not
    depend on, are one, named by what they share."""
    seeds = folder.claims["_seeds"]
    seeds = seeds[(seeds["claim"] == claim.name) & (seeds["part"] == place)]
    if seeds.empty:  # not judged
        return []
    wide = seeds.pivot(index="seed", columns="column", values="value")
    found: dict[tuple[float, ...], Case] = {}
    for own in seeds.drop_duplicates("column").to_dict("records"):
        values = wide[own["column"]]
        name = _name(own["name"], folder.shown_by.get(claim.figure), folder)
        key = tuple(values)
        if key in found:
            name = _shared(found[key].name, name)
        found[key] = Case(name, values, own.get("alone", float("nan")))
    return list(found.values())


def _name(column: str, experiment: str | None, folder: Folder) -> str:
    """Labels of methods, settings of problems, and names of settings in the place of what tables say."""
    problems = folder.problems[experiment].words if experiment else {}
    said = []
    for word in column.split(", "):
        key, equals, value = word.partition(" = ")
        known = problems.get(word) or folder.label(word)
        said.append(f"{setting(key)} = {value}" if equals else known)
    return ", ".join(said)


def _shared(one: str, other: str) -> str:
    """What two names say alike; the first where that is nothing."""
    return ", ".join(word for word in one.split(", ") if word in other.split(", ")) or one
