"""Nothing moves between devices within a step: shown on PyTorch's device "meta", which has no numbers.

There tensors have shapes and types alone, so that no GPU is needed, and a number that the host asks for is
an error. A step is the network's view and the rule's new weights; draws come from the CPU, once a step.
"""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helpers import composed, single_index_task, small_settings
from layerwise.data.moments import Moments
from layerwise.data.population import Population
from layerwise.data.single_index import Batch, Instance
from layerwise.methods.base import load_rule, steps_of
from layerwise.networks.linear import NETWORKS
from layerwise.networks.single_index import SingleIndexNetwork
from layerwise.planning.compose import options
from single_index_runs import card, method_file

S, K, D_X, D_Y, WIDTH, N = 2, 3, 8, 5, 9, 64
# A class of PyTorch's steps on each run alone, and what it does there is its own affair.
BATCHED = [name for name in options("method") if "torch_optimizer" not in method_file(name)["rule"]]


class Movements(TorchDispatchMode):
    """Names the operations between tensors of several devices, and those that fetch a number."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        parts = [p for p in tree_leaves((args, kwargs, out)) if isinstance(p, Tensor) and p.dim()]
        if len({part.device.type for part in parts}) > 1 or "_local_scalar_dense" in str(function):
            self.found.append(str(function))
        return out


def empty(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta", dtype=torch.float64)


def moments() -> Moments:
    return Moments(empty(S, D_X, D_X), empty(S, D_Y, D_X), empty(S), empty(S, D_X), empty(S, D_Y))


def linear(method: str):
    """The settings of a method, its network on the GPU, start weights and batches."""
    settings = small_settings(method, "method.lr=[0.1,0.2]").method
    of = Population(empty(S, K, D_X), empty(S, D_Y, K), empty(D_X), empty(S, D_X, D_X), 0.1)
    weights = (empty(S, 1, K, D_X), empty(S, 1, D_Y, K))
    return settings, NETWORKS[settings.network](of), weights, moments


def single_index(method: str):
    """The same on raw batches, both layers trained."""
    settings = composed("task=single_index", f"method={method}", "method.lr=[0.1,0.2]").method
    instance = Instance(empty(D_X), empty(D_X, D_X), empty(D_X), empty(WIDTH, D_X), empty(WIDTH))
    task = single_index_task(d=D_X, width=WIDTH, layers="both")
    network = SingleIndexNetwork(settings.network, task, [instance] * S)
    weights = (empty(S, 1, WIDTH, D_X), empty(S, 1, 1, WIDTH))
    return settings, network, weights, lambda: Batch(lambda: (empty(S, N, D_X), empty(S, N)))


CASES = [(linear, name) for name in BATCHED] + [
    (single_index, name)
    for name in BATCHED
    if card(name).needs <= single_index_task().offers(method_file(name)["network"])
    and "hessian" not in card(name).needs  # by autograd's transforms, for small networks
]


@pytest.mark.parametrize(("task", "method"), CASES)
def test_nothing_moves_within_a_step(task, method):
    settings, network, weights, draw = task(method)
    steps = steps_of(settings.lr, settings.damping, [1.0, 1.0], weights[0])
    rule = load_rule(settings, steps)
    memory = rule.start(weights)
    for _ in range(2):  # the first step's weights are shared by the variants
        batches = [draw() for _ in range(rule.batches)]
        with Movements() as movements:
            views = [network.view(weights, one) for one in batches]
            network.observe(views[0], batches[0])
            weights, memory = rule.step(views, memory)
        assert not movements.found
        assert all(layer.device.type == "meta" for layer in weights)
    assert weights[0].shape[:2] == (S, steps.variants)


def test_a_movement_is_seen():
    with Movements() as movements:
        torch.eye(3).to("meta")
        assert len(movements.found) == 1
        with pytest.raises(RuntimeError):
            bool(empty(3).sum() > 0)
