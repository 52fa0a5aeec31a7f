"""Files with changed keys where they are plain: as OmegaConf merges them, at a tenth of the cost."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from layerwise.planning.identity import as_before, plain
from layerwise.planning.overrides import Change

# A value that is another key's.
REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}")


def plainly_changed(files: dict[str, Any], changes: Iterable[Change]) -> dict[str, Any] | None:
    """What OmegaConf makes of merged files with changed keys, in a tenth of its time; None where it has to
    be asked: where a value is several or refers to several, and for all that it may refuse."""
    try:
        content: dict[str, Any] = _copied(files)
        for change in changes:
            *above, last = change.key.split(".")
            part: Any = content
            for name in above:
                part = part[name]
            if isinstance(change.value, dict) or isinstance(part.get(last), dict):
                return None
            if last not in part and not (change.adds and last.isidentifier()):
                return None
            part[last] = _copied(set_value(change, partial(part.get, last)))
        return _resolved(content, content)
    except (AttributeError, LookupError, TypeError):
        return None


def set_value(change: Change, before: Callable[[], Any]) -> Any:
    """What a change sets, in the place of what is there: a whole number is one however it is written."""
    value = plain(change.value)
    if ".options" in change.key or isinstance(value, dict):  # other keys have types of their own
        value = as_before(value, before())
    return value


def _copied(value: Any) -> Any:
    """A copy of nested lists and dictionaries. Raises TypeError for a value that is not plain."""
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_copied(one) for one in value]
    if value is not None and type(value) not in (str, int, float, bool):
        raise TypeError(value)
    if isinstance(value, str) and value == "???":
        raise TypeError(value)
    return value


def _resolved(value: Any, content: dict[str, Any]) -> Any:
    """Nested lists and dictionaries with what their references stand for. Raises LookupError or TypeError
    for one that is more than ${KEY}, or to what is no text, number, truth value or null."""
    if isinstance(value, dict):
        return {key: _resolved(one, content) for key, one in value.items()}
    if isinstance(value, list) and any(isinstance(one, str | list | dict) for one in value):
        return [_resolved(one, content) for one in value]
    if isinstance(value, str) and "${" in value:
        if (reference := REFERENCE.fullmatch(value)) is None:
            raise TypeError(value)
        value = content
        for name in reference[1].split("."):
            value = value[name]
        if isinstance(value, dict | list) or "${" in str(value):
            raise TypeError(value)
    return value
