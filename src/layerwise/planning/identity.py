"""What overrides come to, whatever their spelling, and the folders that are named after it. No torch.

An override is its key and its value as it is used: 100, 100.0 and 1e2 are one number, a single step size
is a list of one, ``seeds=4`` is the list of its seeds. One that says what an experiment says anyway is
none. So sets of overrides that plan the same share a folder.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, get_origin

from layerwise.planning.choices import as_it_stands, options
from layerwise.planning.method_files import method_files
from layerwise.planning.overrides import Overrides, methods_from_override, read, spelled
from layerwise.results.files import canonical
from layerwise.settings.run import MAX_SEEDS
from layerwise.settings.tasks import TASKS

# Keys of the task whose values are lists, such as metrics: no axes.
LIST_KEYS = frozenset(
    key
    for task in TASKS.values()
    for key, field in task.model_fields.items()
    if get_origin(field.annotation) is list
)
# What changes no run: how runs are selected, drawn and called.
AFTER_RUNS = re.compile(r"experiment\.(figures|caption)|methods\.\w+\.label")
# A word that Hydra reads as text without quotes.
WORD = re.compile(r"[A-Za-z_][\w.-]*")
MISSING = object()
EXACT = 2**53  # below, floats have every whole number
# Keys of a method whose single number stands for a list of one.
NUMBERS = (".lr", ".damping", ".fixed_lr")
OTHER_WORDS = ("true", "false", "null", "nan", "inf")


def plain(value: Any) -> Any:
    """A value whose whole numbers are ints, also within lists and dictionaries."""
    if isinstance(value, float) and abs(value) < EXACT and value == int(value):
        return int(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return value


def as_before(value: Any, before: Any) -> Any:
    """A plain value with its whole numbers as what they replace: floats in the place of floats."""
    if isinstance(value, list) and isinstance(before, list):
        pairs = zip_longest(value, before[: len(value)])
        return [as_before(one, old) for one, old in pairs]
    if isinstance(value, dict) and isinstance(before, dict):
        return {key: as_before(one, before.get(key)) for key, one in value.items()}
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and isinstance(before, float) else value


def one_value(key: str, value: Any) -> Any:
    """The value of a key of the task: a list of one is that one, unless the key's values are lists."""
    single = isinstance(value, list) and len(value) == 1 and key not in LIST_KEYS
    return value[0] if single else value


def as_used(key: str, value: Any) -> Any:
    """The value of a key of the composed configuration in its one form."""
    value = plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "seeds" and is_number and isinstance(value, int) and 1 <= value <= MAX_SEEDS:
        return list(range(value))
    if key.startswith("methods.") and key.endswith(NUMBERS) and is_number:
        return [value]
    return one_value(key[5:], _distinct(key[5:], value)) if key.startswith("task.") else value


def _distinct(key: str, value: Any) -> Any:
    """The value of a key of the task with each value of an axis once, as problems are."""
    if not isinstance(value, list) or key in LIST_KEYS:
        return value
    return list({canonical(one): one for one in value}.values())


def effects(overrides: Overrides) -> dict[str, Any]:
    """Every key that is set, with its value as it is used; a dictionary stands for the keys below it."""
    found: dict[str, Any] = {f"+method={name}": True for name in overrides.methods}
    if overrides.task is not None:
        found["task"] = overrides.task
    if overrides.methods_from:
        found["methods_from"] = sorted(overrides.methods_from)
    for change in overrides.changes:
        found |= {key: as_used(key, value) for key, value in _leaves(change.key, change.value)}
    return found


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _leaves(f"{key}.{name}", below)
    else:
        yield key, value


def of_experiments(names: Iterable[str], scale: str, overrides: Overrides) -> dict[str, Any]:
    """The effects of overrides, less those that say what each of the experiments says anyway."""
    found = effects(overrides)
    told = {key for name in names for key in found if not _is_idle(key, found, name, scale)}
    return {key: value for key, value in found.items() if key in told}


def _is_idle(key: str, found: dict[str, Any], name: str, scale: str) -> bool:
    """Whether an effect leaves an experiment at a scale as it stands, by its files. One that a scale caps
    or thins is kept: what an override sets is not."""
    chosen, files = as_it_stands(
        name, scale, found.get("task"), tuple(found.get("methods_from", ()))
    )
    own = as_it_stands(name, scale)[0]
    listed, caps = found.get("experiment.methods", files["experiment"]["methods"]), files["scale"]
    if key == "task":
        return chosen == own
    if key == "methods_from":
        added = {one.partition("=")[2] for one in found if one.startswith("+method=")}
        return not ({*listed, *added} - method_files().keys())
    if key.startswith("+method="):
        return key.partition("=")[2] in listed
    first, _, rest = key.partition(".")
    if first == "methods" and rest.partition(".")[0] not in listed:
        return f"+method={rest.partition('.')[0]}" not in found
    capped = (
        caps["max_steps"] if key == "steps" else caps["lr_points"] if key.endswith(".lr") else None
    )
    if capped is not None or "experiment.problems" in found and first == "task":
        return False
    if first == "task" and any(rest in entry for entry in files["experiment"]["problems"]):
        return False
    value = value_of(key, files)
    return value is not MISSING and canonical(as_used(key, value)) == canonical(found[key])


def value_of(key: str, files: Any) -> Any:
    """The value of a dotted key, MISSING where there is none."""
    value: Any = files
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def label_of(scale: str, found: dict[str, Any]) -> str:
    """The folder of effects at a scale, with its slash: none for the paper's scale as it stands."""
    if not found:
        return "" if scale == "paper" else f"/{scale}"
    return f"/{scale}-{hashlib.sha256(canonical(found).encode()).hexdigest()[:8]}"


def results_label(scale: str, overrides: Sequence[str], names: Sequence[str] | None = None) -> str:
    """The folder of the results of experiments, of all when None, at a scale, with overrides."""
    chosen = options("experiment") if names is None else names
    return label_of(scale, of_experiments(chosen, scale, read(overrides)))


def before_runs(found: dict[str, Any]) -> dict[str, Any]:
    """Those effects that change what is run, and not only what is made of it."""
    return {key: value for key, value in found.items() if not AFTER_RUNS.fullmatch(key)}


def words_of(
    found: dict[str, Any], overrides: Overrides, names: Iterable[str], scale: str
) -> list[str]:
    """Effects on experiments as the overrides that have them, in one spelling: with a + where a key is
    new."""
    chosen = overrides.task, overrides.methods_from
    stand = [as_it_stands(name, scale, *chosen)[1] for name in names]
    added = {change.key for change in overrides.changes if change.adds}
    adds = {key for key in added if any(value_of(key, files) is MISSING for files in stand)}
    words = []
    for key, value in sorted(found.items()):
        if key == "methods_from":
            words.append(methods_from_override(value))
        elif key.startswith("+method="):
            words.append(key)
        else:
            new = any(key == one or key.startswith(f"{one}.") for one in adds)
            words.append(f"{'+' * new}{spelled(key)}={_text(key, value)}")
    return words


def _text(key: str, value: Any) -> str:
    """A value in Hydra's grammar."""
    if key == "seeds" and value == list(range(len(value))):
        return str(len(value))
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{','.join(_text('', one) for one in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_text('', one)}" for name, one in value.items()) + "}"
    if isinstance(value, str) and (not WORD.fullmatch(value) or value.lower() in OTHER_WORDS):
        return "'" + value.replace("'", "\\'") + "'"
    return str(value)
