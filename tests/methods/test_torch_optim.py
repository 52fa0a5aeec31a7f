"""SGD and Adam walk the paths of torch.optim on the same raw batches."""

from itertools import product

import pytest
import torch

from helpers import (
    Stepper,
    assert_close,
    method_settings,
    population,
    random_batch,
    random_weights,
)
from layerwise.data.moments import Moments

STEPS = 25
RULES = {
    "sgd": ("sgd.SGD", torch.optim.SGD, {}, {}),
    "adam": (
        "adam.Adam",
        torch.optim.Adam,
        {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        {"betas": (0.9, 0.999), "eps": 1e-8},
    ),
    "adam, other constants": (
        "adam.Adam",
        torch.optim.Adam,
        {"beta1": 0.6, "beta2": 0.8, "epsilon": 1e-2},
        {"betas": (0.6, 0.8), "eps": 1e-2},
    ),
}


def torch_path(optimiser, lr, constants, G, F, batches):
    """The weights of a two-layer torch module after each of the batches."""
    k, d_x = G.shape
    first = torch.nn.Linear(d_x, k, bias=False, dtype=G.dtype)
    second = torch.nn.Linear(k, len(F), bias=False, dtype=G.dtype)
    first.weight.data, second.weight.data = G.clone(), F.clone()
    module = torch.nn.Sequential(first, second)
    optimiser = optimiser(module.parameters(), lr=lr, **constants)
    for x, y in batches:
        optimiser.zero_grad()
        loss = 0.5 * (module(x) - y).square().sum(dim=1).mean()
        loss.backward()
        optimiser.step()
        yield first.weight.detach().clone(), second.weight.detach().clone()


@pytest.mark.parametrize("name", RULES)
def test_the_path_is_torchs(name):
    """25 steps of 3 step sizes and 2 seeds in one tensor program: torch.optim's to 1e-10."""
    rule, optimiser, options, constants = RULES[name]
    of, lrs = population(seeds=(3, 7)), [0.01, 0.05, 0.2]
    start = random_weights(of, len(lrs))
    method = Stepper(method_settings(rule, lrs, **options), of, start)
    batches = [random_batch(of, 16, seed=10 * t) for t in range(STEPS)]
    path, weights = [], start
    for batch in batches:
        weights = method.step(weights, [Moments.of_batch(*batch)])
        path.append(weights)
    for s, (v, lr) in product(range(2), enumerate(lrs)):
        own = [(x[s], y[s]) for x, y in batches]
        G, F = start.features[s, v], start.head[s, v]
        expected = list(torch_path(optimiser, lr, constants, G, F, own))
        for actual, (G, F) in zip(path, expected, strict=True):
            assert_close(actual.features[s, v], G)
            assert_close(actual.head[s, v], F)
        assert (expected[-1][0] - start.features[s, v]).abs().max() > 0.05  # it went somewhere
