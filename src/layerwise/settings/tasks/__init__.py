"""The tasks' settings, a module each; the class ``Task`` of a module is its own."""

import importlib
import pkgutil

from layerwise.settings.task import TaskSettings

TASKS: dict[str, type[TaskSettings]] = {
    module.name: importlib.import_module(f"{__name__}.{module.name}").Task
    for module in pkgutil.iter_modules(__path__)
}
