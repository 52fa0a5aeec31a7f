"""KFAC as a torch.optim.Optimizer: groups, states, schedulers, what it refuses."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.nn.utils import parametrizations, prune

from helpers import assert_close
from layerwise.optim import KFAC
from optim_problems import (
    D_X,
    D_Y,
    N,
    all_equal,
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


# Parameters


FORMS = {
    "named": lambda m: m.named_parameters(),
    "group of names": lambda m: [{"params": m.named_parameters()}],
    "bare parameters": lambda m: [{"params": p} for p in m.parameters()],
    "a generator of groups": lambda m: ({"params": layer.parameters()} for layer in m[::2]),
    "decay apart": lambda m: [
        {"params": [p for p in m.parameters() if p.ndim > 1], "weight_decay": 0.0},
        {"params": [p for p in m.parameters() if p.ndim == 1]},
    ],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_params_take_every_form_of_torch_optim(form):
    """And mean the same step. A caller's groups stay as they are."""
    model = deep_net()
    torch.optim.SGD(form(model), lr=0.1)
    expected = change(model, lambda m: KFAC(m, 0.1), batch())
    assert all_equal(change(model, lambda m: KFAC(m, 0.1, params=form(m)), batch()), expected)
    groups = [{"params": list(model.parameters())}]
    KFAC(model, 0.1, params=groups)
    assert list(groups[0]) == ["params"]


def test_names_stay_with_their_parameters():
    """Also where the other optimiser takes some of a group away."""
    model = mixed_net()
    other = lambda ps: torch.optim.SGD(ps, lr=0.1)  # noqa: E731
    (group, _) = KFAC(model, 0.1, params=model.named_parameters(), other=other).param_groups
    names = {name: p for name, p in model.named_parameters()}
    assert group["param_names"] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(names[n] is p for n, p in zip(group["param_names"], group["params"], strict=True))


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_a_part_of_a_layer_is_trained_alone(part):
    """The other part stays, and is in no inverse: freezing it is the same."""
    model, frozen = deep_net(), deep_net()
    for name, parameter in frozen.named_parameters():
        parameter.requires_grad_(name.endswith(part))
    chosen = lambda m: [p for n, p in m.named_parameters() if n.endswith(part)]  # noqa: E731
    steps = change(model, lambda m: KFAC(m, 0.1, params=chosen(m)), batch())
    expected = change(frozen, lambda m: KFAC(m, 0.1), batch())
    for a, b in zip(steps, expected, strict=True):
        assert_close(a, b)
    assert sum(bool(step.any()) for step in steps) == 3


def test_parameters_may_be_frozen_and_set_free_between_steps():
    """With factor_decay = 0 a step knows nothing of the earlier ones."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    frozen = [[], [model[0].weight], [model[0].bias, *model[2].parameters()], []]
    for t, still in enumerate(frozen):
        for parameter in model.parameters():
            parameter.requires_grad_(not any(parameter is p for p in still))
        expected = change(model, lambda m: KFAC(m, 0.1), batch(t))
        before = parameters_of(model)
        take_step(model, optimizer, batch(t))
        for step, other in zip(steps_between(parameters_of(model), before), expected, strict=True):
            assert_close(step, other)


def test_groups_may_be_added():
    """Layer by layer, and LayerNorm's parameters to the other optimiser."""
    model = mixed_net()
    other = lambda ps: torch.optim.SGD(ps, lr=0.2)  # noqa: E731
    expected = change(model, lambda m: KFAC(m, 0.1, other=other), batch())
    before = parameters_of(model)
    optimizer = KFAC(model, 0.1, params=[*model[0].parameters(), model[1].weight], other=other)
    optimizer.add_param_group({"params": [*model[2].parameters(), model[1].bias], "lr": 0.1})
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2, 1, 1]
    take_step(model, optimizer, batch())
    assert all_equal(steps_between(parameters_of(model), before), expected)


def test_a_group_that_is_refused_is_not_added():
    model = mixed_net()
    optimizer = KFAC(model, 0.1, params=model[0].parameters())
    for group, message in (
        ({"params": model[1].parameters()}, "'1.weight' belongs to no layer"),
        ({"params": model[0].parameters()}, "more than one parameter group"),
        ({"params": model[2].parameters(), "damping": -1.0}, "damping = -1.0 is not allowed"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1
    take_step(model, optimizer, batch())


@pytest.mark.parametrize(
    "alter",
    [
        lambda layer: prune.l1_unstructured(layer, "weight", amount=0.3),
        parametrizations.spectral_norm,
        lambda layer: setattr(layer, "weight", nn.Parameter(layer.weight.detach().clone())),
    ],
)
def test_a_layer_with_other_parameters_is_refused(alter):
    """By its name, and before anything moves."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    take_step(model, optimizer, batch(0))
    alter(model[2])
    before = parameters_of(model)
    with pytest.raises(RuntimeError, match="Layer '2' was pruned, reparametrised or given other"):
        take_step(model, optimizer, batch(1))
    assert all_equal(parameters_of(model), before)


def test_a_layer_that_was_pruned_for_good_is_trained_on():
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    prune.l1_unstructured(model[2], "weight", amount=0.3)
    prune.remove(model[2], "weight")
    expected = change(model, lambda m: KFAC(m, 0.1), batch())
    before = parameters_of(model)
    take_step(model, optimizer, batch())
    steps = steps_between(parameters_of(model), before)
    assert all_equal(steps, expected)
    assert all(step.any() for step in steps)


# States


def test_a_refused_step_changes_nothing():
    """The last layer's factor is singular: no weight, no count and no other optimiser moves."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D_X, 5), nn.PReLU(), nn.Linear(5, D_Y)).double()
    groups = [
        {"params": [*model[0].parameters(), *model[1].parameters()]},
        {"params": model[2].parameters(), "damping": 0.0},
    ]
    other = lambda ps: torch.optim.Adam(ps, lr=0.1)  # noqa: E731
    optimizer = KFAC(model, 0.1, params=groups, momentum=0.9, weight_decay=0.1, other=other)
    take_step(model, optimizer, batch(0))
    before, saved = parameters_of(model), copy.deepcopy(optimizer.state_dict())
    with pytest.raises(RuntimeError, match="input factor of layer '2'"):
        take_step(model, optimizer, batch(1, n=2))
    assert all_equal(parameters_of(model), before)
    after = optimizer.state_dict()
    for index, state in saved["state"].items():
        for key, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(after["state"][index][key]))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_empty_batch_is_none(momentum):
    """Neither a step nor a count, also where momentum would go on."""
    model = deep_net()
    optimizer = KFAC(model, 0.1, momentum=momentum, update_interval=2)
    take_step(model, optimizer, batch(0))
    before = parameters_of(model)
    optimizer.zero_grad()
    model(batch()[0][:0]).sum().backward()
    optimizer.step()
    assert all_equal(parameters_of(model), before)
    assert optimizer.state[model[0].weight]["step"] == 1


def test_the_distributed_checkpoint_helpers_save_and_resume():
    """Asking for a state before the first step changes nothing; each parameter has one."""

    def make(model):
        return KFAC(model, 0.1, factor_decay=0.5, update_interval=2, momentum=0.5)

    plain, asked, resumed = deep_net(), deep_net(), deep_net()
    optimizer, of_asked = make(plain), make(asked)
    get_optimizer_state_dict(asked, of_asked)
    for t in range(3):
        take_step(plain, optimizer, batch(t))
        take_step(asked, of_asked, batch(t))
    assert all_equal(parameters_of(plain), parameters_of(asked))
    saved = get_optimizer_state_dict(plain, optimizer)
    assert set(saved["state"]) == {name for name, _ in plain.named_parameters()}
    resumed.load_state_dict(plain.state_dict())
    of_resumed = make(resumed)
    set_optimizer_state_dict(resumed, of_resumed, saved)
    for t in range(3, 6):
        take_step(plain, optimizer, batch(t))
        take_step(resumed, of_resumed, batch(t))
    assert all_equal(parameters_of(plain), parameters_of(resumed))


def test_the_checkpoint_helpers_hold_the_other_optimisers_state():
    def make(model):
        return KFAC(model, 0.1, other=lambda ps: torch.optim.Adam(ps, lr=0.02))

    model, resumed = mixed_net(), mixed_net()
    optimizer = make(model)
    for t in range(2):
        take_step(model, optimizer, batch(t))
    resumed.load_state_dict(model.state_dict())
    of_resumed = make(resumed)
    set_optimizer_state_dict(resumed, of_resumed, get_optimizer_state_dict(model, optimizer))
    take_step(model, optimizer, batch(2))
    take_step(resumed, of_resumed, batch(2))
    assert all_equal(parameters_of(model), parameters_of(resumed))


def test_a_state_in_memory_is_not_shared():
    """What a run does after it was given another's state does not reach the other."""
    first, second, alone = deep_net(), deep_net(), deep_net()
    make = lambda m: KFAC(m, 0.05, factor_decay=0.5, update_interval=2, momentum=0.9)  # noqa: E731
    optimizers = [make(model) for model in (first, second, alone)]
    for t in range(3):
        take_step(first, optimizers[0], batch(t))
        take_step(alone, optimizers[2], batch(t))
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    for t in range(10, 14):
        take_step(second, optimizers[1], batch(t))
    for t in range(3, 6):
        take_step(first, optimizers[0], batch(t))
        take_step(alone, optimizers[2], batch(t))
    assert all_equal(parameters_of(first), parameters_of(alone))


SCHEDULES = {
    "warm-up from 0": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1.0, t / 3)),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(
        o, max_lr=[0.2, 0.02], total_steps=10
    ),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_schedules_reach_both_optimisers(schedule):
    """Some set momentum, too. At a step size of 0 nothing moves."""
    model = mixed_net()
    other = lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=0.9)  # noqa: E731
    optimizer = KFAC(model, 0.1, momentum=0.9, other=other)
    scheduler, seen = schedule(optimizer), set()
    for t in range(6):
        rates = [group["lr"] for group in optimizer.param_groups]
        seen.add(tuple(rates))
        before = parameters_of(model)
        take_step(model, optimizer, batch(t))
        moves = [step.any().item() for step in steps_between(parameters_of(model), before)]
        assert moves == [rates[0] > 0] * 2 + [rates[1] > 0] * 2 + [rates[0] > 0] * 2
        scheduler.step(*([1.0 + t] if "Plateau" in type(scheduler).__name__ else []))
    assert len(seen) > 1


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
