"""layerwise.optim.KFAC against Eq. 5, curvlinops, torch.optim and dense algebra, in double precision."""

import copy
import runpy
from functools import partial
from pathlib import Path

import grimp
import pytest
import torch
from curvlinops import KFACInverseLinearOperator, KFACLinearOperator
from torch import nn

from helpers import (
    Stepper,
    assert_close,
    method_settings,
    population,
    random,
    random_batch,
    random_weights,
)
from layerwise.data.moments import Moments
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
    take_step,
    with_one,
)

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
    method = Stepper(settings, of, weights)
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
            # The bench's damping is in units of the mean eigenvalue of what is inverted.
            pairs[s][0].param_groups[0]["damping"] = damping * float(x[s].square().mean())
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
    stepped = Stepper(settings, of, weights).step(weights, [Moments.of_batch(x, y)])
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
