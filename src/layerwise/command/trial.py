"""Optimisers that overrides bring, tried before any job. No torch, but where there is one to be tried."""

import importlib
from collections.abc import Iterable

from layerwise.planning.method_files import method_files
from layerwise.planning.overrides import read
from layerwise.planning.plan import ExperimentPlan
from layerwise.planning.request import Request
from layerwise.settings.method import MethodSettings


def try_optimizers(request: Request, plans: Iterable[ExperimentPlan]) -> None:
    """Make the rule of every method with an optimiser that is the user's or that overrides change: those
    that come with the project, as they stand, are known to work, and torch takes a second to load.
    Raises ConfigError for one that cannot be used."""
    overrides, shipped = read(request.overrides), method_files()
    named = {*overrides.named_methods}
    tried: list[tuple[MethodSettings, str]] = []
    for settings in (cell.settings for planned in plans for cell in planned.cells):
        method = settings.method
        own = method.name in named or method.name not in shipped
        if own and "optimizer" in method.options and (method, settings.dtype) not in tried:
            try_optimizer(method, settings.dtype)
            tried.append((method, settings.dtype))


def try_optimizer(method: MethodSettings, dtype: str = "float64") -> None:
    """Make a method's rule, which refuses an optimizer that takes no step from gradients alone."""
    torch = importlib.import_module("torch")
    base = importlib.import_module("layerwise.methods.base")
    like = torch.ones(1, dtype=getattr(torch, dtype))
    base.load_rule(method, base.steps_of(method.lr, method.damping, [1.0], like))
