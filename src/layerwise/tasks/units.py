"""Step sizes and dampings of single-index runs in the task's units.

Step sizes are in natural units. The readout starts small: the gradient by G is of order |f_0|, and G must
move by 1/|f_0| to change f(x) by one. So G moves by lr / |f_0|^2 times a direction that is a gradient, or
one divided by second moments of the inputs alone, and f(x) then changes by order lr whatever the
readout's scale. The gradient by f adds up width features, so f moves by lr / width times it.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from layerwise.data.covariance import spectrum
from layerwise.data.single_index import Instance
from layerwise.methods.base import Steps, Update, load_rule, rule_class, steps_of
from layerwise.methods.normalised import Normalised
from layerwise.networks.base import View
from layerwise.networks.single_index import SingleIndexView
from layerwise.settings.run import RunSettings
from layerwise.theory.alignment import optimal_damping


def dampings_of(settings: RunSettings) -> list[float]:
    """The dampings in units of the mean eigenvalue, which is one."""
    task, values = settings.task, settings.method.damping
    if task.damping_unit == "mean" or not values:
        return values
    of = spectrum(task.spectrum, task.d, task.kappa_x), task.d / task.n, task.link, task.noise
    unit = float(optimal_damping(*of).damping)
    return [unit * value for value in values]


def rule_of(
    settings: RunSettings, dampings: list[float], readouts: Tensor, instances: Sequence[Instance]
) -> tuple[Update, Steps]:
    """The rule in the task's units, and its steps."""
    method, task = settings.method, settings.task
    power = readouts.square().sum(dim=-1, keepdim=True)  # |f|^2, (S, 1, 1, 1)
    units: list[Tensor | float] = {
        "gradient": [1 / power, 1 / task.width],
        "natural": [1 / power, 1.0],
        "joint": [1.0, 1.0],
        "own": [1.0, 1.0],
    }[rule_class(method).scale]
    if task.lr_unit == "natural":
        trained = 2 if task.layers == "both" else 1
        steps = steps_of(method.lr, dampings, units[:trained], readouts)
        return load_rule(method, steps), steps
    sizes = steps_of(method.lr, dampings, [1.0], readouts)
    ones = steps_of([1.0] * len(method.lr), dampings, [1.0], readouts)
    return Normalised(load_rule(method, ones), sizes, _size(instances)), sizes


def _size(instances: Sequence[Instance]) -> Callable[[View, Tensor], Tensor]:
    """Root mean square, over the population's x, of what rows act on the inputs as, (S, V, 1, 1)."""

    def size(view: View, rows: Tensor) -> Tensor:
        assert isinstance(view, SingleIndexView)
        maps = view.batch.on_original(rows)
        powers = [
            (instance.to_eigenbasis(own).square() * instance.eigenvalues).sum(dim=(-2, -1))
            for instance, own in zip(instances, maps, strict=True)
        ]
        return torch.stack(powers).sqrt()[..., None, None]

    return size
