"""Where a claim's numbers come from, for readers: the function, its arguments, its place and its text."""

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parents[1]


class Origin(NamedTuple):
    """A function as readers find it. ``words`` are the texts among its arguments."""

    call: str
    at: str
    code: str
    words: list[str]


def origin(function: Callable[..., Any]) -> Origin:
    """Of a function of a module, or of one that such a function made, with the arguments it was made
    with."""
    name = function.__qualname__.partition(".<locals>")[0]
    module = sys.modules[function.__module__]
    written = getattr(module, name, function)
    arguments = held_by(function)
    given = {key: value for key, value in arguments.items() if not callable(value)}
    shown = ", ".join(f"{key}={value!r}" for key, value in given.items())
    lines, first, file = _source(written)
    place = file.relative_to(PACKAGE.parents[1]) if file.is_relative_to(PACKAGE) else file
    return Origin(
        f"{name}({shown})" if given else name,
        f"{place}:{first}",
        "".join(lines),
        list(dict.fromkeys(_words(list(given.values())))),
    )


@cache  # many claims are made by one function
def _source(written: Callable[..., Any]) -> tuple[list[str], int, Path]:
    """Its text, the line where that begins, and its file."""
    lines, first = inspect.getsourcelines(written)
    return lines, first, Path(inspect.getsourcefile(written) or "").resolve()


def held_by(function: Callable[..., Any]) -> dict[str, Any]:
    """What a function that another made holds of that one's."""
    return dict(inspect.getclosurevars(function).nonlocals)


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _words([key, inner])
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _words(inner)
