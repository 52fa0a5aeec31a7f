"""When KFAC works, how much, and what it keeps alive."""

import gc
import weakref

import pytest
import torch
from torch import nn

from layerwise.optim import KFAC
from optim_problems import (
    D_X,
    D_Y,
    N,
    Wrapped,
    all_equal,
    attack,
    batch,
    change,
    count_backward_passes,
    deep_net,
    half_mse,
    parameters_of,
    take_step,
)


def test_jacobians_are_taken_in_the_backward_passes_that_train(monkeypatch):
    """None in any forward, in evaluation or for an attack; one for each output in training."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1, update_interval=2)
    calls = count_backward_passes(monkeypatch)
    loss = half_mse(model(x), y)
    model.eval()(x)
    model.train()
    assert len(calls) == 0
    attack(model, optimizer)
    assert len(calls) == 1  # the attack's own
    loss.backward()
    assert len(calls) == 1 + D_Y
    optimizer.step()
    take_step(model, optimizer, batch(1))  # between updates
    assert len(calls) == 1 + D_Y


@pytest.mark.parametrize("kind", ["sampled", "empirical"])
@pytest.mark.parametrize("outputs", [2, 30])
def test_the_cost_does_not_grow_with_the_outputs(kind, outputs, monkeypatch):
    model = nn.Sequential(nn.Linear(D_X, 4), nn.Linear(4, outputs)).double()
    x = batch()[0]
    calls = count_backward_passes(monkeypatch)
    optimizer = KFAC(model, 0.1, precondition_outputs=kind)
    take_step(model, optimizer, (x, torch.zeros(N, outputs, dtype=x.dtype)))
    assert len(calls) == (kind == "sampled")


ANSWERS = {
    "classes": lambda scores: scores.argmax(dim=1),
    "detached": lambda scores: scores.detach(),
    "array": lambda scores: scores.detach().numpy(),
    "dict": lambda scores: {"scores": scores},
    "list": list,
    "number": lambda scores: scores.mean(),
    "nothing": lambda scores: None,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_evaluation_may_answer_anything(answer):
    def forward(self, x):
        scores = self.net(x)
        return scores if self.training else answer(scores)

    ends = []
    for evaluates in (False, True):
        model = Wrapped(forward, net=deep_net())
        optimizer = KFAC(model, 0.1)
        for t in range(2):
            take_step(model, optimizer, batch(t))
            if evaluates:
                model.eval()(batch(7)[0])
                model.train()
        ends.append(parameters_of(model))
    assert all_equal(*ends)


def test_inputs_are_freed_with_the_graph():
    """A loss that is kept after its backward pass keeps no layer's inputs."""
    model, (x, y) = deep_net(), batch()
    KFAC(model, 0.1)
    hidden = x.requires_grad_() * 1
    storage = weakref.ref(hidden.untyped_storage())
    loss = half_mse(model(hidden), y)
    del hidden
    assert storage() is not None
    loss.backward()
    gc.collect()
    assert storage() is None


def test_training_in_eval_mode_is_training():
    """Without dropout or batch-norm the mode makes no difference."""
    model = deep_net()
    expected = change(model, lambda m: KFAC(m, 0.1), batch())
    actual = change(model.eval(), lambda m: KFAC(m, 0.1), batch())
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_two_optimisers_on_one_model_do_not_see_each_others_jacobians():
    """A later layer's E[g g^T] is the same whether or not J is taken through it to the first."""
    factors = []
    for kind in ("none", "gauss_newton"):
        model = deep_net()
        later = KFAC(model, 0.1, params=model[2].parameters(), precondition_outputs="empirical")
        KFAC(model, 0.1, params=model[0].parameters(), precondition_outputs=kind)
        take_step(model, later, batch())
        factors.append(later.state[model[2].weight]["output_factor"])
    assert torch.equal(*factors)


class Remember(torch.autograd.Function):
    """The identity, whose place in the graph keeps an object alive."""

    @staticmethod
    def forward(ctx, x, kept):
        ctx.kept = kept
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def test_a_pass_that_is_not_backpropagated_is_freed():
    """No hook keeps the graph of a pass alive, not even until garbage is collected."""

    class Kept:
        pass

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = deep_net()

        def forward(self, x, kept):
            return self.net[2:](Remember.apply(self.net[:2](x), kept))

    model, kept = Model(), Kept()
    KFAC(model, 0.1)
    gc.disable()
    try:
        output, reference = model(batch()[0], kept), weakref.ref(kept)
        del kept
        assert reference() is not None
        del output
        assert reference() is None
    finally:
        gc.enable()
