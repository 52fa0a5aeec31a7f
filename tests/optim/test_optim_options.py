"""KFAC's options: their limits and oracles, what is refused, and changes of them in between."""

import pytest
import torch
from torch import nn

from helpers import assert_close, random
from layerwise.optim import KFAC
from layerwise.optim.solve import split_damping
from optim_problems import (
    D_X,
    all_equal,
    batch,
    change,
    deep_net,
    half_mse,
    parameters_of,
    steps_between,
    take_step,
)

# Momentum, weight decay, direction


def path(make, steps=4):
    """Parameters after each step."""
    model, after = deep_net(), []
    optimizer = make(model)
    for t in range(steps):
        take_step(model, optimizer, batch(t))
        after.append(parameters_of(model))
    return after


def test_momentum_is_that_of_sgd():
    """Where huge damping leaves the gradient alone."""
    options = {"damping": 1e8, "precondition_outputs": "none"}
    ours = path(lambda m: KFAC(m, 0.1 * 1e8, momentum=0.9, **options))
    theirs = path(lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9))
    for a, b in zip(ours[-1], theirs[-1], strict=True):
        assert_close(a, b, 1e-6)


def test_weight_decay_is_decoupled():
    """It takes lr * weight_decay of the weight, as AdamW's does, and the same step without."""
    model = deep_net()
    before = parameters_of(model)
    plain = change(model, lambda m: KFAC(m, 0.1), batch())
    decayed = change(model, lambda m: KFAC(m, 0.1, weight_decay=0.3), batch())
    adam = change(
        model, lambda m: torch.optim.AdamW(m.parameters(), lr=0.1, weight_decay=0), batch()
    )
    adamw = change(
        model, lambda m: torch.optim.AdamW(m.parameters(), lr=0.1, weight_decay=0.3), batch()
    )
    for weight, a, b, c, d in zip(before, decayed, plain, adamw, adam, strict=True):
        assert_close(a - b, -0.03 * weight)
        assert_close(a - b, c - d)


def test_weight_decay_may_spare_biases():
    groups = lambda m: [  # noqa: E731
        {"params": [p for p in m.parameters() if p.ndim > 1], "weight_decay": 0.3},
        {"params": [p for p in m.parameters() if p.ndim == 1], "lr": 0.05},
    ]
    model = deep_net()
    before = parameters_of(model)
    plain = change(model, lambda m: KFAC(m, 0.1), batch())
    actual = change(model, lambda m: KFAC(m, 0.1, params=groups(m)), batch())
    for weight, a, b in zip(before, actual, plain, strict=True):
        assert_close(a, b - 0.03 * weight if weight.ndim > 1 else b / 2)


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_maximizing_is_minimizing_the_negative(kind):
    options = {"precondition_outputs": kind, "momentum": 0.5}
    model = deep_net()
    up = change(model, lambda m: KFAC(m, 0.1, maximize=True, **options), batch())
    down = change(model, lambda m: KFAC(m, 0.1, **options), batch(), lambda f, y: -half_mse(f, y))
    assert all_equal(up, down)


# Damping


def test_pi_splits_damping_by_traces():
    """The dampings' product is that of P x Q, their ratio that of the mean eigenvalues."""
    model, damping = deep_net(), 0.3
    optimizer = KFAC(model, 0.1, damping=damping, pi_damping=True)
    take_step(model, optimizer, batch())
    for layer in model[::2]:
        state = optimizer.state[layer.weight]
        added, means = [], []
        for side in ("input", "output"):
            factor, inverse = state[f"{side}_factor"], state[f"{side}_inverse"]
            extra = torch.linalg.inv(inverse) - factor
            assert_close(extra, extra[0, 0] * torch.eye(len(extra), dtype=extra.dtype), 1e-8)
            added.append(extra[0, 0])
            means.append(factor.trace() / len(factor))
        assert_close(added[0] * added[1], torch.tensor(damping, dtype=added[0].dtype), 1e-8)
        assert_close(added[0] / added[1], means[0] / means[1], 1e-8)


@pytest.mark.parametrize("scale", [1e-3, 7.0])
def test_pi_is_blind_to_how_scale_is_split_between_the_factors(scale):
    """P x Q is what it was with scale P and Q / scale, and so is the damped product."""
    P, Q = (M @ M.T for M in (random(3, 5, seed=0), random(4, 6, seed=1)))
    products = []
    for P_now, Q_now in ((P, Q), (scale * P, Q / scale)):
        of_inputs, of_outputs = split_damping(Q_now, P_now, 0.3)
        products.append(
            torch.kron(
                P_now + of_outputs * torch.eye(3, dtype=P.dtype),
                Q_now + of_inputs * torch.eye(4, dtype=P.dtype),
            )
        )
    assert_close(*products)


def test_inputs_may_be_reparametrised():
    """Without damping of Q, any affine map of the inputs leaves the path of outputs as it is.

    The first layer undoes the map; its bias makes the map's offset one of its own directions.
    """
    A, c = random(D_X, D_X, seed=50), random(D_X, seed=51)
    paths = []
    for mapped in (False, True):
        model, outputs = deep_net(), []
        if mapped:
            inverse = torch.linalg.inv(A)
            model[0].weight.data = model[0].weight.data @ inverse
            model[0].bias.data -= model[0].weight.data @ c
        groups = [
            {"params": model[0].parameters(), "damping": 0.0},
            {"params": [*model[2].parameters(), *model[4].parameters()]},
        ]
        optimizer = KFAC(model, 0.3, params=groups, factor_decay=0.5)
        for t in range(5):
            x, y = batch(t)
            x = x @ A.T + c if mapped else x
            take_step(model, optimizer, (x, y))
            outputs.append(model(x).detach())
        paths.append(outputs)
    for a, b in zip(*paths, strict=True):
        assert_close(a, b, 1e-8)


def test_a_factor_that_rounding_decides_is_refused():
    """Raw pixels in single precision, fewer samples than inputs, and a damping below their digits."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(200, 16), nn.ReLU(), nn.Linear(16, 2))
    x, y = 255 * torch.rand(32, 200), torch.randn(32, 2)
    with pytest.raises(RuntimeError, match="input factor of layer '0' is not .* raise damping = "):
        take_step(model, KFAC(model, 0.1), (x, y))
    take_step(model, KFAC(model, 0.1, damping=1.0), (x, y))


# Changes in between


@pytest.mark.parametrize(
    "key, old, new",
    [
        ("damping", 1e-3, 0.5),
        ("output_damping", 1e-3, 0.5),
        ("update_interval", 5, 1),
        ("precondition_outputs", "gauss_newton", "none"),
        ("precondition_outputs", "none", "empirical"),
        ("pi_damping", False, True),
        ("momentum", 0.9, 0.0),
        ("weight_decay", 0.0, 0.1),
        ("maximize", False, True),
        ("sharing", "expand", "reduce"),
        ("lr", 0.1, 0.0),
    ],
)
def test_a_changed_option_holds_from_the_next_update(key, old, new):
    """The step is that of an optimiser that had the new one from the start."""
    model, expected = deep_net(), deep_net()
    optimizer = KFAC(model, **({"lr": 0.1} | {key: old}))
    take_step(model, optimizer, batch(0))
    expected.load_state_dict(model.state_dict())
    optimizer.param_groups[0][key] = new
    take_step(model, optimizer, batch(1))
    take_step(expected, KFAC(expected, **({"lr": 0.1} | {key: new})), batch(1))
    for a, b in zip(parameters_of(model), parameters_of(expected), strict=True):
        assert_close(a, b)


def test_a_changed_option_that_is_not_allowed_is_refused():
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    optimizer.param_groups[0]["damping"] = -1.0
    before = parameters_of(model)
    with pytest.raises(ValueError, match="damping = -1.0 is not allowed"):
        take_step(model, optimizer, batch())
    assert all_equal(parameters_of(model), before)


def test_options_changed_within_a_gradient_are_refused():
    """Its factors would be of two kinds."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1)
    half_mse(model(x), y).backward()
    optimizer.param_groups[0]["precondition_outputs"] = "empirical"
    half_mse(model(x), y).backward()
    with pytest.raises(RuntimeError, match="Layer '0' has a gradient of passes with different opt"):
        optimizer.step()


def test_an_interval_changed_after_the_pass_holds_from_the_next_one():
    """The pass was told to gather nothing, and the kept inverses are used once more."""
    model = deep_net()
    optimizer = KFAC(model, 0.1, update_interval=5)
    take_step(model, optimizer, batch(0))
    inverse = optimizer.state[model[0].weight]["input_inverse"].clone()
    half = batch(1)
    optimizer.zero_grad()
    half_mse(model(half[0]), half[1]).backward()
    optimizer.param_groups[0]["update_interval"] = 1
    before = parameters_of(model)
    optimizer.step()
    assert torch.equal(optimizer.state[model[0].weight]["input_inverse"], inverse)
    assert all(step.any() for step in steps_between(parameters_of(model), before))


# Refusals


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lr": -0.1}, r"lr = -0.1 is not allowed: give a number of at least 0\."),
        ({"lr": float("nan")}, r"lr = nan is not allowed"),
        ({"damping": -1e-3}, r"damping = -0.001 is not allowed: give a number of at least 0\."),
        ({"output_damping": -1.0}, r"output_damping = -1.0 is not allowed"),
        ({"factor_decay": 1.0}, r"factor_decay = 1.0 is not allowed: .* from 0 to below 1\."),
        ({"factor_decay": -0.1}, r"factor_decay = -0.1 is not allowed"),
        ({"update_interval": 1.5}, r"update_interval = 1.5 is not allowed"),
        ({"lr": "0.1"}, r"lr = '0.1' is not allowed: give a number"),
        ({"damping": None}, r"damping = None is not allowed"),
        ({"damping": True}, r"damping = True is not allowed"),
        ({"momentum": 1.0}, r"momentum = 1.0 is not allowed: .* from 0 to below 1\."),
        ({"weight_decay": -1.0}, r"weight_decay = -1.0 is not allowed"),
        ({"maximize": 1}, r"maximize = 1 is not allowed: give True or False\."),
        ({"pi_damping": None}, r"pi_damping = None is not allowed"),
        ({"sharing": "reduced"}, r"is not one of expand, reduce; the nearest is 'reduce'\."),
        ({"loss": 3}, r"loss = 3 is not one of squared_error, cross_entropy"),
        (
            {"pi_damping": True, "precondition_outputs": "none"},
            r"pi_damping = True is not allowed with precondition_outputs = 'none'",
        ),
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
