"""What models and losses do on their way, and leave a step of KFAC as it is: in place, anew, elsewhere."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from helpers import random
from layerwise.optim import KFAC
from optim_problems import (
    D_X,
    D_Y,
    KINDS,
    N,
    Wrapped,
    all_equal,
    batch,
    change,
    deep_net,
    half_mse,
    parameters_of,
    steps_between,
)


def make(kind):
    torch.manual_seed(1)  # of sampled targets
    return lambda model: KFAC(model, 0.1, precondition_outputs=kind)


def net_with(function):
    torch.manual_seed(0)
    first, second = nn.Linear(D_X, 5), nn.Linear(5, D_Y)
    return Wrapped(function, first=first, second=second).double()


# What a model changes in place, and the same without.
IN_PLACE = {
    "activation": (
        lambda self, x: self.second(self.first(x).relu_()),
        lambda self, x: self.second(self.first(x).relu()),
    ),
    "a layer's output": (
        lambda self, x: self.second(torch.tanh(self.first(x).add_(0.5))),
        lambda self, x: self.second(torch.tanh(self.first(x) + 0.5)),
    ),
    "the model's output": (
        lambda self, x: self.second(torch.tanh(self.first(x))).mul_(2.0),
        lambda self, x: self.second(torch.tanh(self.first(x))) * 2.0,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ways", IN_PLACE.values(), ids=IN_PLACE.keys())
def test_what_is_changed_in_place_is_what_was_changed(ways, kind):
    in_place, anew = (change(net_with(way), make(kind), batch()) for way in ways)
    assert all_equal(in_place, anew)


def in_place_loss(output, y):
    return 0.5 * output.sub_(y).square().sum(dim=1).mean()


def loss_of_a_view(output, y):
    return half_mse(output[:].view(-1).view_as(y), y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [in_place_loss, loss_of_a_view])
def test_a_loss_may_change_or_view_the_output(loss, kind):
    expected = change(deep_net(), make(kind), batch())
    assert all_equal(change(deep_net(), make(kind), batch(), loss), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph:UserWarning")
def test_a_gradient_with_a_graph_of_its_own_is_that_gradient(kind):
    model = deep_net()
    optimizer, before, (x, y) = make(kind)(model), parameters_of(model), batch()
    half_mse(model(x), y).backward(create_graph=True)
    optimizer.step()
    taken = steps_between(parameters_of(model), before)
    assert all_equal(taken, change(deep_net(), make(kind), batch()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_called_as_a_function_of_its_parameters_is_called(kind):
    model = deep_net()
    optimizer, before, (x, y) = make(kind)(model), parameters_of(model), batch()
    half_mse(functional_call(model, dict(model.named_parameters()), x), y).backward()
    optimizer.step()
    taken = steps_between(parameters_of(model), before)
    assert all_equal(taken, change(deep_net(), make(kind), batch()))


def test_a_model_called_with_weights_one_step_ahead_is_refused():
    """Their gradient by the parameters goes through the step, which KFAC would leave out."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1)
    gradients = torch.autograd.grad(
        half_mse(model(x), y), list(model.parameters()), create_graph=True
    )
    ahead = {
        name: p - 0.1 * g for (name, p), g in zip(model.named_parameters(), gradients, strict=True)
    }
    half_mse(functional_call(model, ahead, x), y).backward()
    with pytest.raises(RuntimeError, match="Layer '0' is used outside its own call"):
        optimizer.step()


def test_images_may_lie_in_memory_as_they_like():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(90, D_Y)).double()
    x, y = random(N, 2, 6, 5, seed=0), random(N, D_Y, seed=1)
    expected = change(model, make("gauss_newton"), (x, y))
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    taken = change(other, make("gauss_newton"), (x.to(memory_format=torch.channels_last), y))
    for a, b in zip(taken, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


class FixedTarget(nn.Module):
    """The error against a network that is not trained, or against its own answer without a gradient."""

    def __init__(self, own):
        super().__init__()
        self.net, self.own = deep_net(), own
        self.target = deep_net(1).requires_grad_(False)

    def forward(self, x):
        if self.own:
            return self.net(x) - self.net(x.flip(0)).detach()
        return self.net(x) - self.target(x)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_a_call_without_a_gradient_is_a_constant(kind, own):
    """As a target network's, or the other side of a loss that stops the gradient there."""
    x, y = batch()
    model, plain = FixedTarget(own), deep_net()
    constant = plain(x.flip(0)) if own else model.target(x)
    optimizer = KFAC(model, 0.1, params=model.net.parameters(), precondition_outputs=kind)
    before = parameters_of(model.net)
    half_mse(model(x), y).backward()
    optimizer.step()
    taken = steps_between(parameters_of(model.net), before)
    expected = change(plain, make(kind), (x, y + constant.detach()))
    for a, b in zip(taken, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
