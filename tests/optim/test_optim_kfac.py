"""layerwise.optim.KFAC against Eq. 5, curvlinops, torch.optim and dense algebra, in double precision."""

import copy
import gc
import io
import runpy
import weakref
from functools import partial
from pathlib import Path

import grimp
import pytest
import torch
from curvlinops import KFACInverseLinearOperator, KFACLinearOperator
from torch import nn

from helpers import (
    assert_close,
    make_method,
    method_settings,
    population,
    random,
    random_batch,
    random_weights,
)
from layerwise.data.moments import Moments
from layerwise.optim import KFAC

N, D_X, D_Y = 40, 6, 2


def deep_net(seed=0, activation=nn.Tanh):
    """6-5-4-2 with biases."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(D_X, 5), activation(), nn.Linear(5, 4), activation(), nn.Linear(4, D_Y)
    ).double()


def mixed_net():
    """A network with a LayerNorm between its linear layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D_X, 5), nn.LayerNorm(5), nn.Linear(5, D_Y)).double()


def batch(seed=0):
    return random(N, D_X, seed=2 * seed), random(N, D_Y, seed=2 * seed + 1)


def half_mse(output, y):
    """The loss of Eq. 5: half the mean over samples of the squared norm of the error."""
    return 0.5 * (output - y).square().sum(dim=1).mean()


def backward(model, optimizer, data, loss=half_mse):
    x, y = data
    optimizer.zero_grad()
    loss(model(x), y).backward()


def take_step(model, optimizer, data, loss=half_mse):
    backward(model, optimizer, data, loss)
    optimizer.step()


def parameters_of(model):
    return [p.detach().clone() for p in model.parameters()]


def change(model, make, data, loss=half_mse):
    """What one step of the optimiser that ``make`` gives does to the parameters of a copy."""
    model = copy.deepcopy(model)
    before = parameters_of(model)
    take_step(model, make(model), data, loss)
    return [after - p for after, p in zip(parameters_of(model), before, strict=True)]


def with_one(a):
    return torch.cat([a, torch.ones(len(a), 1, dtype=a.dtype)], dim=1)


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


def joined(weight, bias):
    return torch.cat([weight, bias[:, None]], dim=1)


# Eq. 5


def two_layers(weights, s):
    """The two-layer linear network of seed s as a torch module."""
    G, F = weights.features[s, 0], weights.head[s, 0]
    module = nn.Sequential(
        nn.Linear(G.shape[1], len(G), bias=False), nn.Linear(len(G), len(F), bias=False)
    ).double()
    module[0].weight.data, module[1].weight.data = G.clone(), F.clone()
    return module


@pytest.mark.parametrize("kind", ["gauss_newton", "none"])
def test_alternating_layers_are_equation_5(kind):
    """Four steps of two optimisers, one a layer, are those of layerwise.methods.kfac."""
    of, lr, damping = population(), 0.4, 0.2
    weights = random_weights(of, 1)
    modules = [two_layers(weights, s) for s in range(2)]
    settings = method_settings(
        "kfac.KFAC", [lr], [damping], precondition_outputs=kind != "none", lr_head=None
    )
    method = make_method(settings, of, weights)
    pairs = [
        [
            KFAC(
                module,
                lr,
                params=module[i].parameters(),
                damping=damping * (i == 0),
                output_damping=0.0,
                precondition_outputs=kind,
            )
            for i in range(2)
        ]
        for module in modules
    ]
    for t in range(4):
        x, y = random_batch(of, 20, seed=10 * t)
        weights = method.step(weights, [Moments.of_batch(x, y)])
        for s in range(2):
            for optimizer in pairs[s]:
                take_step(modules[s], optimizer, (x[s], y[s]))
    for s in range(2):
        assert_close(modules[s][0].weight, weights.features[s, 0])
        assert_close(modules[s][1].weight, weights.head[s, 0])


def test_a_common_step_is_equation_5_for_each_layer_with_the_other_held():
    """G moves as in Eq. 5, and F towards least squares on the features before that move."""
    of, lr = population(seeds=(0,)), 0.4
    weights = random_weights(of, 1)
    x, y = random_batch(of, 20, seed=0)
    module = two_layers(weights, 0)
    take_step(module, KFAC(module, lr, damping=0.0, output_damping=0.0), (x[0], y[0]))
    settings = method_settings("kfac.KFAC", [lr], [0.0], precondition_outputs=True, lr_head=None)
    stepped = make_method(settings, of, weights).step(weights, [Moments.of_batch(x, y)])
    assert_close(module[0].weight, stepped.features[0, 0])
    G, F = weights.features[0, 0], weights.head[0, 0]
    fitted = torch.linalg.lstsq(x[0] @ G.T, y[0]).solution.T
    assert_close(module[1].weight, F + lr * (fitted - F))


@pytest.mark.parametrize("reduction, ratio", [("mean", 2 / D_Y), ("sum", 2 * N)])
def test_a_multiple_of_the_loss_multiplies_the_step(reduction, ratio):
    """MSELoss is 2 / d_y (mean) or 2 n (sum) times the loss of Eq. 5; P does not know the loss."""
    model, data = deep_net(), batch()
    ours = change(model, lambda m: KFAC(m, 0.1), data)
    theirs = change(model, lambda m: KFAC(m, 0.1), data, nn.MSELoss(reduction=reduction))
    for a, b in zip(theirs, ours, strict=True):
        assert_close(a, ratio * b)


# Against curvlinops


def curvlinops_kfac(model, data, fisher_type):
    """Kronecker factors for MSELoss, which for two outputs is the loss of Eq. 5."""
    operator = KFACLinearOperator(
        model,
        nn.MSELoss(),
        list(model.parameters()),
        [data],
        fisher_type=fisher_type,
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    operator.compute_kronecker_factors()
    return operator


@pytest.mark.parametrize(
    "kind, fisher_type, ratio", [("gauss_newton", "type-2", 1), ("empirical", "empirical", D_Y)]
)
def test_factors_are_curvlinops(kind, fisher_type, ratio):
    """Input and output factors of every layer; curvlinops' empirical factor is d_y times ours."""
    model, data = deep_net(), batch()
    operator = curvlinops_kfac(copy.deepcopy(model), data, fisher_type)
    layers = {name: model.get_submodule(name).weight for name in ("0", "2", "4")}
    optimizer = KFAC(model, 0.1, precondition_outputs=kind)
    take_step(model, optimizer, data)
    for name, weight in layers.items():
        state = optimizer.state[weight]
        assert_close(state["input_factor"], operator._input_covariances[name])
        assert_close(ratio * state["output_factor"], operator._gradient_covariances[name])


def test_the_step_is_curvlinops_inverse_times_the_gradient():
    model, data = deep_net(), batch()
    operator = curvlinops_kfac(copy.deepcopy(model), data, "type-2")
    inverse = KFACInverseLinearOperator(operator, damping=(0.3, 0.02))
    gradient = torch.autograd.grad(half_mse(model(data[0]), data[1]), list(model.parameters()))
    expected = inverse @ list(gradient)
    actual = change(model, lambda m: KFAC(m, 0.1, damping=0.3, output_damping=0.02), data)
    for a, b in zip(actual, expected, strict=True):
        assert_close(a, -0.1 * b)


def test_the_last_layers_output_factor_is_the_identity():
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    take_step(model, optimizer, batch())
    factor = optimizer.state[model[4].weight]["output_factor"]
    assert torch.equal(factor, torch.eye(D_Y, dtype=factor.dtype))


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical"])
def test_an_in_place_activation_changes_nothing(kind):
    """Jacobians and gradients are taken before the activation in either case."""
    plain, in_place = (
        change(model, lambda m: KFAC(m, 0.1, precondition_outputs=kind), batch())
        for model in (deep_net(activation=nn.ReLU), deep_net(activation=partial(nn.ReLU, True)))
    )
    for a, b in zip(plain, in_place, strict=True):
        assert torch.equal(a, b)


# Limit cases


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_huge_damping_is_sgd(kind):
    """With both dampings at 1e8 and lr scaled by what they divide, the step is torch.optim.SGD's."""
    model, data = deep_net(), batch()
    lr = 0.1 * 1e8 * (1 if kind == "none" else 1e8)
    options = {"damping": 1e8, "output_damping": 1e8, "precondition_outputs": kind}
    actual = change(model, lambda m: KFAC(m, lr, **options), data)
    expected = change(model, lambda m: torch.optim.SGD(m.parameters(), lr=0.1), data)
    for a, b in zip(actual, expected, strict=True):
        assert_close(a, b, 1e-6)


def test_identity_factors_are_sgd():
    """White inputs and an orthogonal head make both factors of the first layer the identity."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D_X, 4, bias=False), nn.Linear(4, 4, bias=False)).double()
    model[1].weight.data = torch.linalg.qr(random(4, 4, seed=0)).Q
    x = torch.linalg.qr(random(N, D_X, seed=1)).Q * N**0.5
    data = (x, random(N, 4, seed=2))
    actual = change(model, lambda m: KFAC(m, 0.1, damping=0.0, output_damping=0.0), data)
    expected = change(model, lambda m: torch.optim.SGD(m.parameters(), lr=0.1), data)
    assert_close(actual[0], expected[0])


# Averages and intervals


def test_factors_average_exponentially_and_update_at_the_interval():
    """Factors: A_0, then decay A_0 + (1 - decay) A_2; step 1 uses the inverses of step 0."""
    model, decay = deep_net(), 0.7
    optimizer = KFAC(
        model, 0.1, damping=0.3, output_damping=0.02, factor_decay=decay, update_interval=2
    )
    Q = None
    for t in range(4):
        data = batch(t)
        state = optimizer.state[model[0].weight]
        inverses = {k: v for k, v in state.items() if k.endswith("inverse")}
        new = with_one(data[0]).T @ with_one(data[0]) / N
        take_step(model, optimizer, data)
        if t % 2 == 0:
            Q = new if Q is None else decay * Q + (1 - decay) * new
        else:
            assert len(inverses) == 2
            assert all(torch.equal(state[key], kept) for key, kept in inverses.items())
        assert_close(state["input_factor"], Q)
        identity = torch.eye(len(Q), dtype=Q.dtype)
        assert_close(state["input_inverse"], torch.linalg.inv(Q + 0.3 * identity))


def test_the_step_between_updates_uses_the_kept_inverses():
    """With P = I the second step is lr times the second gradient times the first inverse."""
    model, lr = deep_net(), 0.1
    optimizer = KFAC(model, lr, damping=0.3, update_interval=2, precondition_outputs="none")
    take_step(model, optimizer, batch(0))
    inverse = optimizer.state[model[0].weight]["input_inverse"].clone()
    before = joined(model[0].weight, model[0].bias).detach().clone()
    backward(model, optimizer, batch(1))
    gradient = joined(model[0].weight.grad, model[0].bias.grad)
    optimizer.step()
    assert_close(joined(model[0].weight, model[0].bias), before - lr * gradient @ inverse)


def test_two_backward_passes_before_a_step_are_one_larger_batch():
    """Halves of a batch, each with half the loss, give the whole batch's step."""
    model, (x, y) = deep_net(), batch()
    expected = change(model, lambda m: KFAC(m, 0.1), (x, y))
    before = parameters_of(model)
    optimizer = KFAC(model, 0.1)
    for part in (slice(0, N // 2), slice(N // 2, N)):
        (half_mse(model(x[part]), y[part]) / 2).backward()
    optimizer.step()
    for after, p, step in zip(parameters_of(model), before, expected, strict=True):
        assert_close(after - p, step)


def evaluate_without_gradients(model, x):
    with torch.no_grad():
        model(x)


def evaluate_in_eval_mode(model, x):
    model.eval()
    model(x)
    model.train()


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical"])
@pytest.mark.parametrize("disturb", [evaluate_without_gradients, evaluate_in_eval_mode])
def test_evaluation_does_not_touch_the_factors(disturb, kind):
    """Passes before, between and after a training pass and its backward pass change no bit."""
    paths = []
    for evaluate in (lambda *_: None, disturb):
        model = deep_net()
        optimizer = KFAC(model, 0.1, factor_decay=0.5, precondition_outputs=kind)
        for t in range(3):
            x, y = batch(t)
            evaluate(model, batch(7)[0])
            optimizer.zero_grad()
            loss = half_mse(model(x), y)
            evaluate(model, batch(8)[0])
            loss.backward()
            evaluate(model, batch(9)[0])
            optimizer.step()
        paths.append(parameters_of(model))
    assert all(torch.equal(a, b) for a, b in zip(*paths, strict=True))


def test_training_in_eval_mode_is_training():
    """Without dropout or batch-norm the mode makes no difference."""
    model = deep_net()
    expected = change(model, lambda m: KFAC(m, 0.1), batch())
    actual = change(model.eval(), lambda m: KFAC(m, 0.1), batch())
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_zero_grad_forgets_the_factors_too():
    model = deep_net()
    expected = change(model, lambda m: KFAC(m, 0.1), batch(0))
    before = parameters_of(model)
    optimizer = KFAC(model, 0.1)
    backward(model, optimizer, batch(5))
    take_step(model, optimizer, batch(0))
    for after, p, step in zip(parameters_of(model), before, expected, strict=True):
        assert torch.equal(after - p, step)


def test_a_step_forgets_the_factors_too():
    """So that the model's own zero_grad will do between steps."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    take_step(model, optimizer, batch(0))
    expected = change(model, lambda m: KFAC(m, 0.1), batch(1))
    before = parameters_of(model)
    model.zero_grad()
    half_mse(model(batch(1)[0]), batch(1)[1]).backward()
    optimizer.step()
    for after, p, step in zip(parameters_of(model), before, expected, strict=True):
        assert torch.equal(after - p, step)


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


def test_frozen_parameters_are_in_no_factor():
    """A frozen layer is left out; a frozen bias adds no one; a bias alone is another parameter."""
    model, data = deep_net(), batch()
    for frozen in (model[0].bias, model[2].weight, model[2].bias, model[4].weight):
        frozen.requires_grad_(False)
    others = []
    optimizer = KFAC(model, 0.1, other=lambda ps: others.extend(ps) or torch.optim.SGD(ps, lr=0.1))
    assert len(others) == 1 and others[0] is model[4].bias
    take_step(model, optimizer, data)
    assert set(optimizer.state) == {model[0].weight}
    assert_close(optimizer.state[model[0].weight]["input_factor"], data[0].T @ data[0] / N)


def test_close_takes_the_hooks_off():
    model = deep_net()
    KFAC(model, 0.1).close()
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


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
    "options, message",
    [
        ({"lr": 0.0}, r"lr = 0.0 is not allowed: give a number above 0\."),
        ({"lr": float("nan")}, r"lr = nan is not allowed"),
        ({"damping": -1e-3}, r"damping = -0.001 is not allowed: give a number of at least 0\."),
        ({"output_damping": -1.0}, r"output_damping = -1.0 is not allowed"),
        ({"factor_decay": 1.0}, r"factor_decay = 1.0 is not allowed: .* from 0 to below 1\."),
        ({"factor_decay": -0.1}, r"factor_decay = -0.1 is not allowed"),
        ({"update_interval": 1.5}, r"update_interval = 1.5 is not allowed"),
        ({"update_interval": 0}, r"update_interval = 0 is not allowed: .* at least 1\."),
        (
            {"precondition_outputs": "gauss-newton"},
            r"is not one of .*; the nearest is 'gauss_newton'\.",
        ),
    ],
)
def test_bad_arguments_are_refused(options, message):
    """As an argument, and as a group's own option."""
    model = deep_net()
    with pytest.raises(ValueError, match=message):
        KFAC(model, **{"lr": 0.1, **options})
    with pytest.raises(ValueError, match=message):
        KFAC(model, 0.1, params=[{"params": model.parameters(), **options}])


def tied():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize(
    "model, params, message",
    [
        (mixed_net(), lambda m: None, r"'1.weight' belongs to no nn.Linear layer: give other"),
        (tied(), lambda m: None, r"0.weight and 1.weight are one parameter: .* shared weights\."),
        (deep_net(), lambda m: deep_net().parameters(), r"group 0 holds what is no parameter of"),
        (deep_net(), lambda m: [*m[0].parameters()] * 2, r"is given twice"),
        (
            deep_net(),
            lambda m: [m[0].weight],
            r"weight and the bias of layer '0' must be in the same",
        ),
        (
            mixed_net(),
            lambda m: [{"params": m[i].parameters()} for i in (0, 1)],
            r"group 1 holds no weight of an nn.Linear layer",
        ),
    ],
)
def test_parameters_that_cannot_be_trained_are_refused(model, params, message):
    with pytest.raises(ValueError, match=message):
        KFAC(model, 0.1, params=params(model))


class Wrapped(nn.Module):
    """A model whose forward is a function of its linear layer and the input."""

    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Linear(4, 4).double(), function

    def forward(self, x):
        return self.function(self.layer, x)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda layer, x: layer(layer(x)), r"'layer' is used twice .* shared weights\."),
        (lambda layer, x: layer(x[:, None])[:, 0], r"'layer' got an input with 3 dimensions"),
        (lambda layer, x: {"output": layer(x)}, r"returned dict, .* needs one tensor of shape"),
    ],
)
def test_a_pass_without_factors_is_refused(function, message):
    model = Wrapped(function)
    KFAC(model, 0.1)
    with pytest.raises(RuntimeError, match=message):
        model(random(3, 4, seed=0))


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


def test_groups_cannot_be_added_later():
    model = deep_net()
    optimizer = KFAC(model, 0.1, params=model[0].parameters())
    with pytest.raises(RuntimeError, match="when it is made"):
        optimizer.add_param_group({"params": list(model[2].parameters())})


# Its place


def test_it_stands_apart_from_the_rest_of_the_package():
    """No import crosses the border, either way."""
    graph = grimp.build_graph("layerwise")
    inside = {"layerwise.optim"} | graph.find_descendants("layerwise.optim")
    imports = {(a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)}
    assert ("layerwise.optim", "layerwise.optim.kfac") in imports
    assert not [(a, b) for a, b in imports if (a in inside) != (b in inside)]


# The example


def test_the_example_prints_a_row_for_each_method_and_the_fastest(capsys):
    """The quick run; every number but KFAC's steps is free to be what comes out."""
    path = Path(__file__).parents[2] / "examples" / "train_mlp.py"
    runpy.run_path(str(path))["main"](["--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[4:7]] == ["SGD", "Adam", "KFAC"]
    assert lines[-1].startswith("Fastest: KFAC in steps, ")
