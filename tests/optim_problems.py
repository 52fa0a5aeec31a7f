"""Small networks, batches and steps that the tests of layerwise.optim share."""

import copy

import torch
from torch import nn

from helpers import random

N, D_X, D_Y = 40, 6, 2
KINDS = ("gauss_newton", "empirical", "sampled", "none")


def deep_net(seed=0, activation=nn.Tanh, dtype=torch.float64):
    """6-5-4-2 with biases."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(D_X, 5), activation(), nn.Linear(5, 4), activation(), nn.Linear(4, D_Y)
    ).to(dtype)


def mixed_net():
    """A network with a LayerNorm between its linear layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D_X, 5), nn.LayerNorm(5), nn.Linear(5, D_Y)).double()


class Wrapped(nn.Module):
    """A model whose forward is a function of its parts and the input."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def two_layers():
    """6-4-2 with layers called layer and head, and inputs for it."""
    torch.manual_seed(0)
    return (
        Wrapped(
            lambda self, x: self.head(torch.tanh(self.layer(x))),
            layer=nn.Linear(D_X, 4),
            head=nn.Linear(4, D_Y),
        ).double(),
        random(N, D_X, seed=0),
    )


def batch(seed=0, n=N, dtype=torch.float64):
    return random(n, D_X, seed=2 * seed).to(dtype), random(n, D_Y, seed=2 * seed + 1).to(dtype)


def half_mse(output, y):
    """The loss of Eq. 5: half the mean over samples of the squared norm of the error."""
    return 0.5 * (output - y).flatten(1).square().sum(dim=1).mean()


def backward(model, optimizer, data, loss=half_mse):
    x, y = data
    optimizer.zero_grad()
    loss(model(x), y).backward()


def take_step(model, optimizer, data, loss=half_mse):
    backward(model, optimizer, data, loss)
    optimizer.step()


def parameters_of(model):
    return [p.detach().clone() for p in model.parameters()]


def steps_between(after, before):
    return [a - b for a, b in zip(after, before, strict=True)]


def change(model, make, data, loss=half_mse):
    """What one step of the optimiser that ``make`` gives does to the parameters of a copy."""
    model = copy.deepcopy(model)
    before = parameters_of(model)
    take_step(model, make(model), data, loss)
    return steps_between(parameters_of(model), before)


def all_equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def with_one(a):
    return torch.cat([a, torch.ones(len(a), 1, dtype=a.dtype)], dim=1)


def joined(weight, bias):
    return torch.cat([weight, bias[:, None]], dim=1)


def count_backward_passes(monkeypatch):
    """A list that grows by one whenever torch.autograd.grad is called."""
    calls, real = [], torch.autograd.grad

    def counted(*args, **kwargs):
        calls.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    return calls


def attack(model, optimizer):
    x, y = batch(5)
    x.requires_grad_()
    torch.autograd.grad(half_mse(model(100 * x), y), x)
