"""KFAC as a torch.optim.Optimizer: groups, states, schedulers, what it refuses."""

import io

import pytest
import torch
from torch import nn

from helpers import assert_close
from layerwise.optim import KFAC
from optim_problems import (
    D_X,
    D_Y,
    N,
    backward,
    batch,
    change,
    deep_net,
    half_mse,
    joined,
    mixed_net,
    parameters_of,
    steps_between,
    take_step,
    with_one,
)


def first_layer_change(model, data, lr, damping, output_damping):
    """The dense formula for a first layer with bias, (out, in + 1)."""
    x, y = data
    layer, rest = model[0], model[1:]
    z = layer(x).detach().requires_grad_()
    (grad_z,) = torch.autograd.grad(half_mse(rest(z), y), z)
    J = torch.func.vmap(torch.func.jacrev(rest))(z.detach())  # (N, D_Y, out)
    P = torch.einsum("nci,ncj->ij", J, J) / len(x)
    Q = with_one(x).T @ with_one(x) / len(x)
    P, Q = (
        M + d * torch.eye(len(M), dtype=x.dtype) for M, d in ((P, output_damping), (Q, damping))
    )
    return (-lr * torch.linalg.inv(P) @ grad_z.T @ with_one(x) @ torch.linalg.inv(Q)).detach()


# As a torch.optim.Optimizer


def test_groups_have_their_own_options():
    """Both groups' steps are the dense formula's, each with its own lr and damping."""
    model, data = deep_net(), batch()
    groups = [
        {"params": model[0].parameters(), "lr": 0.2, "damping": 0.3, "output_damping": 0.02},
        {"params": list(model[4].parameters()), "precondition_outputs": "none"},
    ]
    before = parameters_of(model)
    first = first_layer_change(model, data, 0.2, 0.3, 0.02)
    a = with_one(model[:4](data[0]).detach())
    optimizer = KFAC(model, 0.5, params=groups, damping=0.1)
    take_step(model, optimizer, data)
    steps = [after - p for after, p in zip(parameters_of(model), before, strict=True)]
    assert_close(joined(*steps[:2]), first)
    assert not steps[2].any() and not steps[3].any()  # in no group
    gradient = joined(model[4].weight.grad, model[4].bias.grad)
    inverse = torch.linalg.inv(a.T @ a / N + 0.1 * torch.eye(5, dtype=a.dtype))
    assert_close(joined(*steps[4:]), -0.5 * gradient @ inverse)


def test_other_parameters_are_trained_by_the_given_optimiser():
    """LayerNorm takes Adam's step, while the linear layers take KFAC's."""
    model, data = mixed_net(), batch()
    expected = change(model, lambda m: torch.optim.Adam(m.parameters(), lr=0.02), data)
    alone = change(
        model, lambda m: KFAC(m, 0.1, params=[*m[0].parameters(), *m[2].parameters()]), data
    )
    actual = change(
        model, lambda m: KFAC(m, 0.1, other=lambda ps: torch.optim.Adam(ps, lr=0.02)), data
    )
    assert [a.any().item() for a in alone] == [True, True, False, False, True, True]
    for i in range(6):
        assert torch.equal(actual[i], expected[i] if i in (2, 3) else alone[i])


def test_attentions_projection_is_another_parameter():
    """Attention uses its out_proj's weight without calling it, so it is no linear layer here."""
    attention = nn.MultiheadAttention(4, 2)
    model = nn.ModuleDict({"attention": attention, "linear": nn.Linear(4, 1)})
    seen = []
    KFAC(model, 0.1, other=lambda ps: seen.extend(ps) or torch.optim.SGD(ps, lr=0.1))
    assert any(p is attention.out_proj.weight for p in seen)
    assert not any(p is model["linear"].weight for p in seen)


def test_a_scheduler_sets_every_step_size():
    """StepLR halves the steps of KFAC and of the other parameters' optimiser."""
    model = mixed_net()
    optimizer = KFAC(model, 0.1, other=lambda ps: torch.optim.SGD(ps, lr=0.02))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    take_step(model, optimizer, batch(0))
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.01]
    expected = change(
        nn.Sequential(*model),
        lambda m: KFAC(m, 0.05, other=lambda ps: torch.optim.SGD(ps, lr=0.01)),
        batch(1),
    )
    before = parameters_of(model)
    take_step(model, optimizer, batch(1))
    for after, p, step in zip(parameters_of(model), before, expected, strict=True):
        assert_close(after - p, step)


def test_a_resumed_run_goes_on_bitwise():
    """Saved after four steps between two updates, and loaded into another model and optimiser."""

    def make(model):
        options = {"factor_decay": 0.8, "update_interval": 3}
        return KFAC(model, 0.05, **options, other=lambda ps: torch.optim.Adam(ps, lr=0.02))

    model = mixed_net()
    optimizer = make(model)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for t in range(4):
        take_step(model, optimizer, batch(t))
        scheduler.step()
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    saved = torch.load(file)
    resumed = mixed_net()
    resumed_optimizer = make(resumed)
    resumed_scheduler = torch.optim.lr_scheduler.ExponentialLR(resumed_optimizer, 0.9)
    for part, state in zip((resumed, resumed_optimizer, resumed_scheduler), saved, strict=True):
        part.load_state_dict(state)
    for t in range(4, 8):
        for m, o, s in (
            (model, optimizer, scheduler),
            (resumed, resumed_optimizer, resumed_scheduler),
        ):
            take_step(m, o, batch(t))
            s.step()
    for a, b in zip(parameters_of(model), parameters_of(resumed), strict=True):
        assert torch.equal(a, b)
    for o in (optimizer, resumed_optimizer):
        assert [g["lr"] for g in o.param_groups] == pytest.approx([0.05 * 0.9**8, 0.02 * 0.9**8])


def test_a_closure_computes_the_gradients():
    model, (x, y) = deep_net(), batch()
    expected = change(model, lambda m: KFAC(m, 0.1), (x, y))
    before, optimizer = parameters_of(model), KFAC(model, 0.1)

    def closure():
        optimizer.zero_grad()
        loss = half_mse(model(x), y)
        loss.backward()
        return loss

    with torch.no_grad():
        loss_before = half_mse(model(x), y)
    assert torch.equal(optimizer.step(closure), loss_before)
    for after, p, step in zip(parameters_of(model), before, expected, strict=True):
        assert torch.equal(after - p, step)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_a_layer_that_is_not_used_stays_as_it_is(set_to_none):
    """Also where its gradient is zero from an earlier zero_grad."""

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(D_X, D_Y), nn.Linear(D_X, D_Y)

        def forward(self, x, both=False):
            return self.used(x) + self.unused(x) if both else self.used(x)

    model = Branches().double()
    optimizer = KFAC(model, 0.1)
    x, y = batch()
    half_mse(model(x, both=True), y).backward()
    optimizer.zero_grad(set_to_none)
    before = parameters_of(model)
    half_mse(model(x), y).backward()
    optimizer.step()
    moved = [not torch.equal(a, b) for a, b in zip(parameters_of(model), before, strict=True)]
    assert moved == [True, True, False, False]


def test_parameters_that_are_frozen_are_in_no_inverse():
    """A frozen bias leaves the dense step of the weight alone; a bias alone divides by 1 + damping."""
    model, (x, y) = deep_net(), batch()
    model[0].bias.requires_grad_(False)
    model[4].weight.requires_grad_(False)
    before = parameters_of(model)
    optimizer = KFAC(model, 0.1, damping=0.3, output_damping=0.02)
    take_step(model, optimizer, (x, y))
    steps = steps_between(parameters_of(model), before)
    P = optimizer.state[model[0].weight]["output_factor"] + 0.02 * torch.eye(5, dtype=x.dtype)
    Q = x.T @ x / N + 0.3 * torch.eye(D_X, dtype=x.dtype)
    gradient = model[0].weight.grad
    assert_close(steps[0], -0.1 * torch.linalg.inv(P) @ gradient @ torch.linalg.inv(Q))
    assert_close(steps[5], -0.1 * model[4].bias.grad / 1.02 / 1.3)
    assert not steps[1].any() and not steps[4].any()


def test_close_ends_the_watch():
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    optimizer.close()
    backward(model, optimizer, batch())
    with pytest.raises(RuntimeError, match="Layer '0' has a gradient"):
        optimizer.step()


def test_the_output_may_have_any_shape_that_starts_with_the_samples():
    """A squeezed output of one number has the factors of a column."""
    model = nn.Sequential(deep_net(), nn.Linear(D_Y, 1)).double()
    x, y = batch()
    y = y[:, :1]
    expected = change(model, lambda m: KFAC(m, 0.1), (x, y))
    flat = nn.Sequential(*model, nn.Flatten(0))
    actual = change(flat, lambda m: KFAC(m, 0.1), (x, y), lambda f, y: half_mse(f[:, None], y))
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)


# Refusals


@pytest.mark.parametrize(
    "model, params, message",
    [
        (mixed_net(), lambda m: None, r"'1.weight' belongs to no layer .*: give other"),
        (deep_net(), lambda m: deep_net().parameters(), r"shape \(5, 6\) in params is none of the"),
        (deep_net(), lambda m: [*m[0].parameters()] * 2, r"is given twice"),
        (deep_net(), lambda m: [], r"empty parameter list"),
        (deep_net(), lambda m: 3, r"params is not in a form of torch.optim: 'int'"),
        (deep_net(), lambda m: m[0].weight, r"params is not in a form of torch.optim: params arg"),
        (deep_net(), lambda m: ["0.weight"], r"params is not in a form of torch.optim: .* str\."),
        (deep_net(), lambda m: [{"params": set(m.parameters())}], r"params is not in a form"),
        (
            deep_net(),
            lambda m: [
                {"params": [m[0].weight], "damping": 0.1},
                {"params": [m[0].bias], "damping": 0.2},
            ],
            r"The weight and the bias of layer '0' are in groups with different damping",
        ),
        (nn.Sequential(nn.LazyLinear(3)), lambda m: None, r"'0.weight' is uninitialized"),
        (deep_net().to(torch.complex64), lambda m: None, r"'0.weight' is of torch.complex64"),
    ],
)
def test_parameters_that_cannot_be_trained_are_refused(model, params, message):
    with pytest.raises(ValueError, match=message):
        KFAC(model, 0.1, params=params(model))


def test_a_group_without_a_layer_is_refused():
    """Its options would be for nothing."""
    model = mixed_net()
    groups = [{"params": [*model[0].parameters(), *model[2].parameters()]}]
    groups.append({"params": model[1].parameters(), "lr": 0.3})
    with pytest.raises(ValueError, match="Parameter group 1 holds no parameter of a layer"):
        KFAC(model, 0.1, params=groups, other=lambda ps: torch.optim.SGD(ps, lr=0.1))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (lambda m: {"model": m.parameters()}, "model is a generator: give the nn.Module itself"),
        (lambda m: {"model": m, "other": "adam"}, "other is a str: give a function"),
        (lambda m: {"model": m, "other": lambda ps: 3}, "other made a int, which is no optimiser"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        KFAC(**arguments(mixed_net()), lr=0.1)


def test_what_is_set_free_later_needs_an_optimiser():
    model = mixed_net()
    model[1].requires_grad_(False)
    optimizer = KFAC(model, 0.1)
    take_step(model, optimizer, batch(0))
    model[1].requires_grad_(True)
    with pytest.raises(
        RuntimeError, match="'1.weight' has a gradient now, and belongs to no layer"
    ):
        take_step(model, optimizer, batch(1))


def test_a_gradient_from_outside_a_pass_is_refused():
    """The model's parts were called, and not the model."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    x, y = batch()
    half_mse(model[2:](model[:2](x)), y).backward()
    with pytest.raises(
        RuntimeError, match=r"'0' has a gradient, but .* no call of the whole model"
    ):
        optimizer.step()


def test_a_singular_factor_is_refused():
    """Fewer samples than inputs, without damping."""
    model = deep_net()
    optimizer = KFAC(model, 0.1, damping=0.0)
    backward(model, optimizer, (torch.zeros(3, D_X).double(), torch.zeros(3, D_Y).double()))
    with pytest.raises(
        RuntimeError, match=r"input factor of layer '0' is not .* raise damping = 0.0"
    ):
        optimizer.step()
