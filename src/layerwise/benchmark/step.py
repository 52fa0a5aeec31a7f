"""One step of the moment engine on its own: without recording, and without the check for divergence."""

from collections.abc import Callable

from layerwise.data.instances import draw
from layerwise.data.moments import gaussian_moments
from layerwise.methods.base import load_rule, steps_of
from layerwise.networks.base import Layers
from layerwise.networks.linear import NETWORKS, LinearNetwork
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.linear_representation import LinearTask
from layerwise.tasks.linear_representation import training_parts


def moment_step(settings: RunSettings) -> Callable[[], Layers]:
    """Draws the next batch's moments and takes a step of all runs, always from the initial weights."""
    task, method = settings.task, settings.method
    assert isinstance(task, LinearTask)
    drawn = draw(task, settings.seeds)
    population, start = training_parts(settings, drawn)
    steps = steps_of(method.lr, method.damping, [1.0, 1.0], start[0])
    weights = tuple(layer.repeat(1, steps.variants, 1, 1) for layer in start)
    network: LinearNetwork = NETWORKS[method.network](population)
    rule = load_rule(method, steps)
    memory = rule.start(weights)
    stream = gaussian_moments(population, task.batch_size, settings.seeds, "batches")

    def step() -> Layers:
        nonlocal memory
        batch = stream.next()
        view = network.view(weights, batch)
        network.observe(view, batch)
        moved, memory = rule.step([view], memory)
        return moved

    return step
