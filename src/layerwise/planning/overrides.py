"""Overrides of the pipeline's settings, in Hydra's grammar. No torch.

Beside Hydra's keys, ``method.NAME.key`` is a method's setting and ``+method=NAME`` adds a method to the
experiments.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from layerwise.settings.validation import ConfigError

# What is chosen beside the overrides, and where.
ELSEWHERE = {
    "method": "an experiment has many methods, +method=NAME adds one",
    "experiment": "experiments are named without a key",
    "scale": "the scale is chosen by --scale, or scale in Snakemake's configuration",
    "out": "an experiment's tables lie in results/; a single run, `python -m layerwise.simulate`, takes it",
    "instances": "an experiment draws its own, in results/; a single run, `python -m layerwise.simulate`, "
    "takes it",
}


# Where a text goes on with another override.
SECOND = re.compile(r"[ ,]\s*\+*[A-Za-z_][\w.]*=")
# Elements of a list that are parsed at once.
LONG = 50
# A number that Python reads as Hydra does.
PLAIN = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?")


class Change(NamedTuple):
    """A key of the composed configuration, and its new value."""

    key: str
    value: Any
    adds: bool  # whether the key may be new, as in +key=value
    typed: str  # the key as it was given
    text: str  # the value as Hydra writes it


@dataclass(frozen=True)
class Overrides:
    """What a set of overrides asks for. Their order says nothing, so no key is set twice."""

    changes: tuple[Change, ...]
    task: str | None  # another task for the experiments
    methods: tuple[str, ...]  # those added to the experiments
    methods_from: tuple[str, ...] = ()  # folders with methods of the user's

    @property
    def method_word(self) -> str:
        """What a method's settings are called: ``method``, or ``methods`` where an override says so."""
        return "methods" if any(c.typed.startswith("methods.") for c in self.changes) else "method"

    @property
    def named_methods(self) -> list[str]:
        """Every method that an override names."""
        set_by = [c.key.split(".")[1] for c in self.changes if c.key.startswith("methods.")]
        lists = [c.value for c in self.changes if c.key == "experiment.methods"]
        listed = chain.from_iterable(value for value in lists if isinstance(value, list))
        # What is no name is refused with the rest of the experiment.
        return [*self.methods, *set_by, *(name for name in listed if isinstance(name, str))]

    @cached_property
    def canonical(self) -> list[str]:
        """The overrides in one spelling and one order."""
        task = [] if self.task is None else [f"task={self.task}"]
        added = [f"+method={name}" for name in self.methods]
        if self.methods_from:
            added.append(methods_from_override(self.methods_from))
        changes = [f"{'+' * c.adds}{spelled(c.key)}={c.text}" for c in self.changes]
        return sorted([*task, *added, *changes])


def spelled(key: str) -> str:
    """A key of the composed configuration as it is written on a command line."""
    return key.replace("methods.", "method.", 1) if key.startswith("methods.") else key


def refuse_resolvers(texts: Sequence[str]) -> None:
    """Raise ConfigError for an override that calls a resolver, which could read the environment."""
    for text in texts:
        if re.search(r"\$\{.*:", text, re.DOTALL):
            raise ConfigError(f"the override {text!r} is not allowed: it calls a resolver")


def read(texts: Sequence[str]) -> Overrides:
    """Parse overrides. Raises ConfigError with one sentence."""
    return _read(tuple(texts))


@cache
def _read(texts: tuple[str, ...]) -> Overrides:
    refuse_resolvers(texts)
    changes, methods, task = [], [], None
    folders: tuple[str, ...] = ()
    for override in map(parsed, texts):
        key, text = override.key_or_group, override.get_value_element_as_str()
        if key == "task":
            task = _unquoted(override)
        elif key == "method" and override.is_add():
            methods.append(_unquoted(override))
        elif key == "methods_from":
            folders = _folders(override.value())
        elif key in ELSEWHERE:
            raise ConfigError(f"{key} = {text} is not allowed as an override: {ELSEWHERE[key]}")
        else:
            composed = key.replace("method.", "methods.", 1) if key.startswith("method.") else key
            adds = override.is_add() or override.is_force_add()
            changes.append(Change(composed, override.value(), adds, key, text))
    keys = sorted(f"{change.key}." for change in changes)
    for above, below in pairwise(keys):
        if below.startswith(above):
            raise ConfigError(f"{spelled(below[:-1])} is set by more than one override, keep one")
    return Overrides(tuple(changes), task, tuple(sorted(set(methods))), folders)


def _unquoted(override: Override) -> str:
    """The value of a group's override: a name, or what is refused as one."""
    value = override.value()
    return value if isinstance(value, str) else override.get_value_element_as_str()


def methods_from_override(folders: Sequence[str | Path]) -> str:
    """The override that names folders with methods of the user's."""
    quoted = (str(folder).replace("'", "\\'") for folder in folders)
    return "methods_from=[" + ",".join(f"'{folder}'" for folder in quoted) + "]"


def _folders(value: Any) -> tuple[str, ...]:
    """Absolute paths of one folder or several. Raises ConfigError for what is none."""
    folders = []
    for name in value if isinstance(value, list) else [value]:
        folder = Path(os.path.normpath(Path(str(name)).expanduser().absolute()))
        if not folder.is_dir():
            raise ConfigError(
                f"methods_from = {str(name)!r} is not allowed: there is no such folder"
            )
        folders.append(str(folder))
    return tuple(dict.fromkeys(folders))


def parsed(text: str, may_delete: bool = False) -> Override:
    """An override of the form key=value, +key=value or ++key=value. Raises ConfigError for others."""
    try:
        override = _in_pieces(text) or OverridesParser.create().parse_override(text)
    except HydraException:
        raise ConfigError(malformed(text)) from None
    if (override.is_delete() and not may_delete) or override.package is not None:
        raise ConfigError(
            f"the override {text!r} is not allowed: allowed are key=value, +key=value and +method=NAME"
        )
    if override.is_sweep_override():
        typed = _quoted(text) if "/" in text or text.endswith((".parquet", ".csv")) else None
        hint = f", and a path with a comma in quotes of its own, type {typed}" if typed else ""
        raise ConfigError(
            f"the override {text!r} is not allowed: a list of values is written in brackets, as in "
            f"{override.key_or_group}=[1,2]{hint}"
        )
    return override


def malformed(text: str) -> str:
    """The refusal of an override that Hydra cannot read, with what to type where its value needs quotes."""
    value = text.partition("=")[2]
    for opens, closes in ("[]", "{}"):
        if value.startswith(opens) and value.count(opens) != value.count(closes):
            return f"the override {text!r} is not allowed: its {opens} and {closes} do not belong together"
    if "/" not in value and (more := SECOND.search(value)):
        return (
            f"the override {text!r} is not allowed: {more[0].strip(' ,')} begins another one, which is a "
            "word of its own"
        )
    if typed := _quoted(text):
        return (
            f"the override {text!r} is not allowed: its value needs quotes of its own, type {typed}"
        )
    return f"the override {text!r} is not allowed: it is not of Hydra's form key=value"


def _quoted(text: str) -> str | None:
    """An override with its value in quotes, as a shell takes it; None where that is none either."""
    key, _, value = text.partition("=")
    escaped = value.replace("'", "\\'")
    quoted = f"{key}='{escaped}'"
    if not value or any(character in value for character in '"$`!'):
        return None
    try:
        OverridesParser.create().parse_override(quoted)
    except HydraException:
        return None
    return f'"{quoted}"'


def _in_pieces(text: str) -> Override | None:
    """Parse a long list of numbers and words piece by piece; None for anything else. Hydra's parser takes
    a time that grows with the square of a list's length: half a minute for 10,000 values."""
    key, _, value = text.partition("=")
    if len(value) < 2 * LONG or not re.fullmatch(r"\[[\w\s.,+-]+\]", value):
        return None
    elements = [element.strip() for element in value[1:-1].split(",")]
    parser = OverridesParser.create()

    def piece(some: Sequence[str]) -> Override:
        return parser.parse_override(f"{key}=[{','.join(some)}]")

    whole = piece(elements[:LONG])
    values = cast(list[Any], whole._value)
    for start in range(LONG, len(elements), LONG):
        some = elements[start : start + LONG]
        plain = all(map(PLAIN.fullmatch, some))
        values += map(_number, some) if plain else cast(list[Any], piece(some)._value)
    whole.input_line = text
    return whole


def _number(text: str) -> float | int:
    """A plain number, as Hydra reads it."""
    return float(text) if "." in text else int(text)
