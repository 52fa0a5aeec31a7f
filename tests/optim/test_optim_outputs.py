"""What the model returns to KFAC: losses that fit, containers, several outputs, a number."""

import pytest
import torch
from torch import nn

from helpers import assert_close, random
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
    half_mse,
    parameters_of,
    steps_between,
    take_step,
    two_layers,
)

R = 7  # positions


def test_a_loss_that_is_not_cross_entropy_is_told_from_one():
    model, x = two_layers()
    optimizer = KFAC(model, 0.1, loss="cross_entropy")
    with pytest.raises(RuntimeError, match="Layer 'layer' has no output factor: loss = 'cross_en"):
        take_step(model, optimizer, (x, batch()[1]))


def test_binary_cross_entropy_of_one_logit_is_told_from_cross_entropy():
    torch.manual_seed(0)
    model = nn.Linear(D_X, 1).double()
    loss = nn.functional.binary_cross_entropy_with_logits
    with pytest.raises(RuntimeError, match="Layer 'Linear' has no output factor: loss = 'cross_en"):
        take_step(
            model,
            KFAC(model, 0.1, loss="cross_entropy"),
            (batch()[0], torch.ones(N, 1).double()),
            loss,
        )


@pytest.mark.parametrize("scale", [0.1, 10.0, 1000.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cross_entropy_is_known_however_sure_the_model_is(dtype, smoothing, scale):
    """At large logits the gradients are the rounding of probabilities near one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D_X, 4), nn.Linear(4, 10)).to(dtype)
    model[1].weight.data *= scale
    x = random(N, D_X, seed=0).to(dtype)
    y = model(x).argmax(dim=1)  # right wherever it is sure
    optimizer = KFAC(model, 0.0, loss="cross_entropy", precondition_outputs="sampled", damping=1.0)
    loss = lambda f, y: nn.functional.cross_entropy(f, y, label_smoothing=smoothing)  # noqa: E731
    take_step(model, optimizer, (x, y), loss)
    assert optimizer.state[model[0].weight].get("step", 0) == bool(model[0].weight.grad.any())


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_in_a_container_are_outputs(kind):
    """One tensor in a dictionary, beside a loss that the model computes itself."""

    def forward(self, x, y):
        scores = self.net(x)
        return {"loss": half_mse(scores, y), "scores": scores}

    x, y = batch()
    ends = []
    for contained in (False, True):
        net, _ = two_layers()
        model = Wrapped(forward, net=net)
        torch.manual_seed(0)
        optimizer = KFAC(model if contained else net, 0.1, precondition_outputs=kind)
        (model(x, y)["loss"] if contained else half_mse(net(x), y)).backward()
        optimizer.step()
        ends.append(parameters_of(net))
    assert all_equal(*ends)


def heads():
    """A model with two outputs, whose step from one concatenated output is the oracle."""
    torch.manual_seed(0)
    return Wrapped(
        lambda self, x: (self.a(torch.tanh(self.layer(x))), self.b(torch.tanh(self.layer(x)))),
        layer=nn.Linear(D_X, 4),
        a=nn.Linear(4, 1),
        b=nn.Linear(4, 1),
    ).double()


@pytest.mark.parametrize("kind", ["empirical", "none"])
def test_several_outputs_are_one(kind):
    steps = []
    for joint in (False, True):
        model = heads()
        if joint:
            two = model.function
            model.function = lambda self, x, two=two: torch.cat(two(self, x), dim=1)
        before = parameters_of(model)
        optimizer = KFAC(model, 0.1, precondition_outputs=kind)
        output = model(batch()[0])
        output = output if joint else torch.cat(output, dim=1)
        half_mse(output, batch()[1]).backward()
        optimizer.step()
        steps.append(steps_between(parameters_of(model), before))
    for a, b in zip(*steps, strict=True):
        assert_close(a, b)


def test_jacobians_of_several_outputs_are_refused():
    model = heads()
    optimizer = KFAC(model, 0.1)
    half_mse(torch.cat(model(batch()[0]), dim=1), batch()[1]).backward()
    with pytest.raises(
        RuntimeError, match="Layer 'layer' is in a model that returned tuple with 2"
    ):
        optimizer.step()


def test_a_number_is_refused():
    net, x = two_layers()
    model = Wrapped(lambda self, x, y: half_mse(self.net(x), y), net=net)
    optimizer = KFAC(model, 0.1)
    model(x, batch()[1]).backward()
    with pytest.raises(RuntimeError, match="Layer 'net.layer' led to a single number"):
        optimizer.step()


def flat(steps):
    return torch.cat([step.flatten() for step in steps])


def hooked(hook):
    net, x = two_layers()
    net.register_forward_hook(hook)
    return net, (x, random(N, D_Y, seed=1))


@pytest.mark.parametrize("kind", ["gauss_newton", "sampled"])
def test_a_model_whose_output_a_hook_may_change_is_refused(kind):
    """Hooks of the model run after those that are for all modules, so that their work is not seen."""
    net, data = hooked(lambda module, args, output: 3 * output)
    with pytest.raises(
        RuntimeError, match=r"forward hook of its own.*such as nn.Sequential\(model"
    ):
        take_step(net, KFAC(net, 0.1, precondition_outputs=kind), data)


def test_a_hook_is_seen_by_a_module_that_calls_the_model():
    """The way out that the refusal tells: steps are those of a model that does the hook's work itself."""
    net, data = hooked(lambda module, args, output: 3 * output)
    plain, _ = two_layers()
    tripled = Wrapped(lambda self, x: 3 * self.net(x), net=plain)
    make = lambda m: KFAC(m, 0.1)  # noqa: E731
    steps = change(nn.Sequential(net), make, data)
    assert_close(flat(steps), flat(change(tripled, make, data)))
    assert not torch.allclose(flat(steps), flat(change(plain, make, data)), rtol=0.1)


@pytest.mark.parametrize("kind", ["empirical", "none"])
def test_a_hook_of_the_model_does_not_matter_to_factors_without_jacobians(kind):
    """They are of the loss's own gradients by the layers' outputs."""
    net, data = hooked(lambda module, args, output: 3 * output)
    plain, _ = two_layers()
    tripled = Wrapped(lambda self, x: 3 * self.net(x), net=plain)
    make = lambda m: KFAC(m, 0.1, precondition_outputs=kind)  # noqa: E731
    assert_close(flat(change(net, make, data)), flat(change(tripled, make, data)))
