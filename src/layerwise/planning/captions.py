"""What a caption says was run: the settings of a task that all cells share, in words. No torch."""

from collections.abc import Sequence
from typing import Any

from layerwise.planning.jobs import Cell
from layerwise.results.descriptions import setting

# What a page's menus have no need to name.
WORDS = {
    "width": "hidden units",
    "spectrum": "spectrum of Σ_x",
    "noise": "standard deviation of the noise",
    "directions": "space in which the teacher is isotropic",
    "output_damping": "damping of P",
    "n_validation": "validation samples",
    "n_test": "test samples",
    "n_choice": "samples for the strength of a ridge readout",
    "layers": "trained layers",
    "lr_unit": "unit of step sizes",
    "damping_unit": "unit of damping",
    "labelings": "random labelings",
    "shots": "images of each class to transfer from",
    "components": "principal components",
    "transfer_kappa_x": "κ_x of the transfer task",
    "batch_size": "batch size n",
}
VALUES = {
    ("damping_unit", "optimal"): "λ⋆",
    ("damping_unit", "mean"): "mean eigenvalue",
    ("lr_unit", "natural"): "the method's own",
    ("lr_unit", "preactivations"): "the preactivations' size",
    ("directions", "whitened"): "Σ_x^(-1/2) x",
    ("directions", "raw"): "x",
    ("basis", "rotated"): "random rotation",
    ("basis", "axis"): "the axes",
    ("spectrum", "log"): "log-spaced",
}
# Settings of mixed images, and of metrics: those that have no effect are not said.
MIXED = {"components", "kappa_x", "spectrum", "basis"}
MEASURED_BY = {
    "n_transfer": "transfer_",
    "n_validation": "validation_error",
    "n_test": "_error",
    "n_choice": "_error",
}


def shared_settings(cells: Sequence[Cell]) -> str:
    """The task, and what all ``cells`` have in common of its settings with an effect."""
    tasks = [cell.settings.task.model_dump() for cell in cells]
    said = [
        f"{WORDS.get(key) or setting(key)} = {_shown(key, value)}"
        for key, value in tasks[0].items()
        if key not in ("name", "metrics")
        and value is not None
        and all(task[key] == value for task in tasks)
        and any(_has_effect(key, task) for task in tasks)
    ]
    name = str(tasks[0]["name"]).replace("_", " ").replace("teacher student", "teacher and student")
    return f"{name.capitalize()}: {', '.join(said)}"


def _has_effect(key: str, task: dict[str, Any]) -> bool:
    if key in MIXED and task["name"] == "digits":
        return bool(task["inputs"] == "mixed")
    metric = MEASURED_BY.get(key)
    return metric is None or any(metric in name for name in task["metrics"])


def _shown(key: str, value: Any) -> str:
    if isinstance(value, str):
        return VALUES.get((key, value)) or value.replace("_", " ")
    return f"{value:g}"
