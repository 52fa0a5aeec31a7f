"""What the pipeline says of a folder of results beside its tables: the words of its configuration."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layerwise.planning.drawing import file_name
from layerwise.planning.plan import ExperimentPlan
from layerwise.settings.selection import NOTHING

ASSETS = Path(__file__).with_name("assets")  # the page's style, program and templates


def about(
    plans: Mapping[str, ExperimentPlan],
    scale: str,
    overrides: Sequence[str],
    question: Callable[[str], str],
) -> dict[str, Any]:
    """Scale, overrides, labels of methods, and what each experiment asks, selects by and draws;
    ``question`` says in a line what an experiment asks."""
    labels: dict[str, str] = {}
    experiments = {}
    for name, plan in plans.items():
        labels |= plan.labels
        selects = plan.experiment.select_by
        experiments[name] = {
            "question": question(name),
            "select_by": None if selects == NOTHING else selects,
            "caption": plan.experiment.caption.replace("{rule}", "").strip(),
            "figures": {file_name(one, name): plan.summary for one in plan.experiment.figures},
        }
    return {
        "scale": scale,
        "overrides": list(overrides),
        "labels": labels,
        "experiments": experiments,
    }
