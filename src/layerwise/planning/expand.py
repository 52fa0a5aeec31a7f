"""From the entries of an experiment's configuration to its problems. No torch."""

import itertools
from collections.abc import Sequence
from typing import Any

from layerwise.results.files import canonical
from layerwise.settings.experiment import Scale
from layerwise.settings.validation import ConfigError

# Names of an experiment's entries for readers; the other keys are the task's.
LABEL_KEYS = ("regime", "along")


def expand(
    entries: Sequence[dict[str, Any]], scale: Scale, replaced: dict[str, Any]
) -> list[dict[str, Any]]:
    """Problems of entries, each of which stands for the product of its lists.

    A scale that keeps some points keeps them of an entry's first list; its other lists then keep their
    first value. A key of ``replaced``, with one value or a list, takes the place of the entry's own,
    and is kept whole. Each problem is there once. Raises ConfigError for an empty list, and for one
    whose key an entry lacks.
    """
    problems = []
    for entry in entries[: scale.entries]:
        axes = {key: _as_axis(f"experiment.problems.{key}", value) for key, value in entry.items()}
        if scale.axis_points is not None:
            first = next((key for key, axis in axes.items() if len(axis) > 1), None)
            axes = {
                key: scale.thinned(axis, scale.axis_points if key == first else 1)
                for key, axis in axes.items()
            }
        fitting = _fitting(replaced, entry)
        axes |= {key: _as_axis(f"task.{key}", value) for key, value in fitting.items()}
        problems += [
            dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())
        ]
    # Where an override fixes what entries vary, several stand for the same problem.
    return list({canonical(problem): problem for problem in problems}.values())


def _fitting(replaced: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Those of ``replaced`` that the entry has."""
    for key, value in replaced.items():
        if isinstance(value, list) and key not in entry:
            varied = ", ".join(f"task.{name}" for name in entry if name not in LABEL_KEYS)
            raise ConfigError(
                f"task.{key} = {value} is not allowed: allowed is one value, lists are for what the "
                f"experiment varies, {varied}"
            )
    return {key: value for key, value in replaced.items() if key in entry}


def _as_axis(key: str, value: Any) -> list[Any]:
    if value == []:
        raise ConfigError(f"{key} = [] is not allowed: at least one value is needed")
    return value if isinstance(value, list) else [value]
