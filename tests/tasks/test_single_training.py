"""Many steps of the single-index network: against autograd, torch.optim, one step, and least squares."""

import importlib
from itertools import product

import numpy as np
import pytest
import torch

from helpers import assert_close, single_index_task
from layerwise.data.single_index import draw_sample
from layerwise.tasks import loop
from layerwise.tasks.loop import WEIGHT_BOUND
from single_index_runs import (
    METHODS,
    both,
    card,
    make_run,
    method_file,
    output,
    power,
    reaching,
    stepped,
    trained,
)
from textbook import damped

WIDTH = single_index_task().width
MEASURED = ["train_loss", "alignment", "validation_error", "test_error", "network_error"]


def loss(G, f, x, y, network="plain"):
    """The loss on what reaches the first layer."""
    return 0.5 * (y - output(network, G, f, x)).square().mean()


def inputs_of(method, run, batch, s):
    """What reaches a seed's first layer."""
    return reaching(method_file(method)["network"], batch.x[s], run.instances[s])


# --- Data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sgd", "bn_input_sgd", "whitened_sgd"])
def test_seeds_share_no_batch_and_the_first_is_the_streams(method):
    """What reaches the first layer of each seed, by other means, from the stream "step"."""
    run = make_run(method, seeds=(3, 1))
    batch = run.batches.next()
    prepared = run.network.prepared(batch)
    for place, seed in enumerate((3, 1)):
        sample = draw_sample(single_index_task(), run.instances[place], "step", 40, seed)
        x = run.instances[place].from_eigenbasis(sample.inputs)
        network = method_file(method)["network"]
        assert_close(prepared.x[place], reaching(network, x, run.instances[place]), 1e-12)
        assert_close(prepared.y[place], sample.labels, 1e-13)


# --- Rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aspect_ratio", [0.3, 1.5], ids=["n > d", "n < d"])
@pytest.mark.parametrize("samples", ["fresh", "fixed"])
@pytest.mark.parametrize(
    ("method", "dampings"),
    [("sgd", ()), ("kfac", (0.0, 0.05, 2.0)), ("bn_hidden_sgd", ()), ("whitened_sgd", ())],
)
def test_one_step_is_in_natural_units(method, dampings, samples, aspect_ratio):
    """Minus lr / |f_0|^2 times autograd's gradient, for KFAC times a dense (pseudo-)inverse."""
    task = single_index_task(aspect_ratio=aspect_ratio, samples=samples)
    run = make_run(method, (0.2, 0.7), dampings, task)
    weights, (batch,) = stepped(run, 1)
    network = method_file(method)["network"]
    for s, (v, (damping, lr)) in product((0, 1), enumerate(product(dampings or [0], (0.2, 0.7)))):
        x, (G, f) = inputs_of(method, run, batch, s), both(run.weights, run, s, 0)
        descent = -torch.func.grad(loss)(G, f, x, batch.y[s], network)
        if method == "kfac":
            Q = damped(x.mT @ x / len(x), damping)
            descent = descent @ torch.linalg.pinv(Q, hermitian=True)
        assert_close(weights[0][s, v] - G, descent * lr / power(run, s), 1e-9)


@pytest.mark.parametrize("layers", ["first", "both"])
@pytest.mark.parametrize(
    "method",
    [
        m
        for m in METHODS
        if method_file(m)["rule"] in ("sgd.SGD", "adam.Adam") and m != "sgd_features"
    ],
)
def test_sgd_and_adam_are_those_of_torch_optim(method, layers):
    """Five steps of torch's optimiser and autograd on the same batches, each run alone."""
    lrs, network = (0.02, 0.1), method_file(method)["network"]
    run = make_run(method, lrs, task=single_index_task(layers=layers))
    weights, batches = stepped(run, 5)
    for s, v in product(range(2), range(2)):
        G, f = (part.requires_grad_() for part in both(run.weights, run, s, v))
        if "adam" in method:
            options = method_file(method)["options"]
            betas = options["beta1"], options["beta2"]
            optimiser = torch.optim.Adam([G, f], lr=lrs[v], betas=betas)
        else:
            natural = [(G, lrs[v] / power(run, s)), (f, lrs[v] / WIDTH)]
            optimiser = torch.optim.SGD([{"params": [p], "lr": lr} for p, lr in natural])
        f.requires_grad_(layers == "both")
        for batch in batches:
            optimiser.zero_grad()
            loss(G, f, inputs_of(method, run, batch, s), batch.y[s], network).backward()
            optimiser.step()
        for found, expected in zip(both(weights, run, s, v), (G, f), strict=True):
            assert_close(found, expected.detach())


def autograd(G, f, batch, s):
    """The gradients of one run, both layers'."""
    return torch.func.grad(loss, (0, 1))(G, f, batch.x[s], batch.y[s])


@pytest.mark.parametrize(
    ("path", "options", "layers"),
    [
        ("torch.optim.Muon", {"weight_decay": 0.0}, "first"),
        ("torch.optim.Muon", {"weight_decay": 0.0}, "both"),
        ("pytorch_optimizer.Shampoo", {}, "first"),
        ("pytorch_optimizer.Shampoo", {}, "both"),
        ("pytorch_optimizer.SOAP", {"weight_decay": 0.0}, "first"),
    ],
)
def test_modern_optimizers_are_those_of_their_packages(path, options, layers):
    """Three steps of the class itself with autograd's gradients, each run alone. There are as many
    neurons as inputs: SOAP takes all eigenvectors of Gram matrices, arbitrary where they are singular."""
    module, name = path.rsplit(".", 1)
    optimizer = getattr(importlib.import_module(module), name)
    task = single_index_task(width=12, layers=layers)
    method = {"Muon": "muon", "Shampoo": "shampoo", "SOAP": "soap"}[name]
    run = make_run(method, (0.02, 0.1), task=task)
    weights, batches = stepped(run, 3)
    for s, (v, lr) in product(range(2), enumerate((0.02, 0.1))):
        G, f = (torch.nn.Parameter(part) for part in both(run.weights, run, s, v))
        alone = optimizer([G, f] if layers == "both" else [G], lr=lr, **options)
        for batch in batches:
            G.grad, f.grad = autograd(G.detach(), f.detach(), batch, s)
            alone.step()
        for found, expected in zip(both(weights, run, s, v), (G, f), strict=True):
            assert_close(found, expected.detach(), 1e-6)


@pytest.mark.parametrize("layers", ["first", "both"])
def test_spectral_descent_orthogonalises_each_layers_gradient(layers):
    run = make_run("spectral", (0.02, 0.1), task=single_index_task(layers=layers))
    weights, batches = stepped(run, 3)
    for s, (v, lr) in product(range(2), enumerate((0.02, 0.1))):
        G, f = both(run.weights, run, s, v)
        for batch in batches:
            steps = []
            for gradient in autograd(G, f, batch, s):
                u, values, vt = torch.linalg.svd(gradient, full_matrices=False)
                steps.append(lr * values.sum() * (u @ vt))
            G = G - steps[0]
            f = f - steps[1] if layers == "both" else f
        for found, expected in zip(both(weights, run, s, v), (G, f), strict=True):
            assert_close(found, expected, 1e-6)


@pytest.mark.parametrize("damping", [0.03, 1.0])
def test_kfac_is_the_dense_equation(damping):
    """Four steps of Eq. 5 without P_G, by autograd and dense inverses: the head on the new features."""
    run = make_run("kfac", (0.1, 0.4), (damping,), single_index_task(layers="both"))
    weights, batches = stepped(run, 4)
    for s, (v, lr) in product(range(2), enumerate((0.1, 0.4))):
        G, f = both(run.weights, run, s, v)
        natural = lr / power(run, s)
        for batch in batches:
            x, y = batch.x[s], batch.y[s]
            Q = damped(x.mT @ x / len(y), damping)
            G = G - natural * torch.func.grad(loss, 0)(G, f, x, y) @ Q.inverse()
            z = torch.tanh(x @ G.mT)
            Q = damped(z.mT @ z / len(y), damping)
            f = f - lr * torch.func.grad(loss, 1)(G, f, x, y) @ Q.inverse()
        for found, expected in zip(both(weights, run, s, v), (G, f), strict=True):
            assert_close(found, expected, 1e-9)


def test_kfacs_head_at_step_size_one_is_least_squares():
    run = make_run("kfac", (0.3,), (0.0,), single_index_task(layers="both"), lr_head=1.0)
    (features, head), batches = stepped(run, 2)
    for s in range(2):
        z = torch.tanh(batches[-1].x[s] @ features[s, 0].mT)
        fitted = torch.linalg.lstsq(z, batches[-1].y[s][:, None]).solution
        assert_close(head[s, 0], fitted.mT, 1e-8)


def test_large_damping_makes_kfac_sgd():
    large = 1e9
    run = make_run("kfac", (0.1 * large,), (large,))
    (kfac,), batches = stepped(run, 1)
    (sgd,), _ = stepped(make_run("sgd", (0.1,)), 1)
    for s, own in enumerate(run.instances):
        size = batches[0].x[s].square().mean()  # the unit of the damping
        change = (sgd[s, 0] - own.features) / size
        assert_close(kfac[s, 0] - own.features, change, 1e-7)


def test_a_fixed_sample_is_decomposed_once(monkeypatch):
    decomposed = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda m: decomposed.append(m.shape) or eigh(m))
    counts = []
    for samples in ("fixed", "fresh"):
        run = make_run("kfac", (0.1, 0.2), (0.1, 1.0), single_index_task(samples=samples))
        decomposed.clear()
        stepped(run, 3)
        counts.append(len(decomposed))
    assert counts == [1, 3]


@pytest.mark.parametrize("method", ["gauss_newton", "newton"])
@pytest.mark.parametrize("layers", ["first", "both"])
def test_second_order_steps_are_the_dense_ones(method, layers):
    """Three steps over all trained weights at once: autograd's Jacobian or Hessian, and a dense solve.
    Gauss-Newton's damping of G is in units of |f|^2 as well."""
    damping = 0.7
    run = make_run(method, (0.3, 0.9), (damping,), single_index_task(layers=layers))
    weights, batches = stepped(run, 3)
    for s, (v, lr) in product(range(2), enumerate((0.3, 0.9))):
        G, f = both(run.weights, run, s, v)
        for batch in batches:
            x, y, trained_f = batch.x[s], batch.y[s], layers == "both"

            def split(flat, f=f, trained_f=trained_f):
                g, h = flat[: 9 * 12].view(9, 12), flat[9 * 12 :].view(1, -1)
                return (g, h) if trained_f else (g, f)

            def of(flat, x=x, y=y, split=split):
                return loss(*split(flat), x, y)

            flat = torch.cat([G.flatten(), f.flatten()]) if trained_f else G.flatten()
            scale = torch.ones_like(flat)
            if method == "newton":
                matrix = torch.autograd.functional.hessian(of, flat)
            else:
                scale[: 9 * 12] = f.square().sum()
                J = torch.autograd.functional.jacobian(
                    lambda flat, x=x, split=split: output("plain", *split(flat), x), flat
                )
                matrix = J.mT @ J / len(y)
            unit = damping * (matrix.diagonal() / scale).abs().mean()
            step = torch.linalg.solve(matrix + unit * scale.diag(), torch.func.grad(of)(flat))
            G, f = split(flat - lr * step)
        for found, expected in zip(both(weights, run, s, v), (G, f), strict=True):
            assert_close(found, expected, 1e-8)


# --- The loop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layers", ["first", "both"])
def test_the_loop_measures_the_rules_weights(method, layers):
    task = single_index_task(layers=layers)
    run, again = (make_run(method, (0.05, 0.2), (0.1, 1.0), task) for _ in range(2))
    trace = trained(run, [0, 3, 5])
    weights, _ = stepped(again, 5)
    view = run.network.view(weights, again.batches.next())
    expected = run.measure(view, torch.ones(weights[0].shape[:2]) > 0)
    assert set(trace.metrics) == set(expected) == set(MEASURED)
    for name, values in expected.items():
        assert np.array_equal(trace.metrics[name][2], values.numpy(), equal_nan=True)
    assert trace.steps.tolist() == [0, 3, 5]
    variants = 4 if card(method).takes_damping else 2
    assert trace.metrics["train_loss"].shape == (3, 2, variants)
    assert (trace.diverged_at == -1).all()


def test_the_training_loss_is_on_the_coming_batch():
    run = make_run("sgd")
    trace = trained(run, [0, 1])
    after, _ = stepped(make_run("sgd"), 1)
    _, batches = stepped(make_run("sgd"), 2)
    for step, weights in enumerate((run.weights, after)):
        for seed in range(2):
            (G, f), batch = both(weights, run, seed, 0), batches[step]
            expected = float(loss(G, f, batch.x[seed], batch.y[seed]))
            assert trace.metrics["train_loss"][step, seed, 0] == pytest.approx(expected, rel=1e-12)


LINEAR = single_index_task(activation="linear", readout_scale=0.01)


@pytest.mark.parametrize(
    ("method", "wild"), [("sgd", 40.0), ("kfac", 40.0), ("bn_input_sgd", 40.0)]
)
def test_a_diverged_run_is_frozen_and_its_neighbours_never_notice(method, wild, monkeypatch):
    monkeypatch.setattr(loop, "LOOK_EVERY", 1000)
    run, seen = make_run(method, (0.1, wild, 0.3), task=LINEAR), []
    step = run.rule.step
    run.rule.step = lambda views, memory: (
        seen.append(views[0].weights[0].expand(-1, 3, -1, -1)) or step(views, memory)
    )
    mixed = trained(run, range(16))
    tame = trained(make_run(method, (0.1, 0.2, 0.3), task=LINEAR), range(16))
    assert (mixed.diverged_at[:, [0, 2]] == -1).all()
    for name in MEASURED:
        pair = (trace.metrics[name][:, :, [0, 2]] for trace in (mixed, tame))
        assert np.array_equal(*pair, equal_nan=True)
    for seed in range(2):
        at = mixed.diverged_at[seed, 1]
        assert 2 < at < 16
        assert all(torch.equal(G[seed, 1], seen[at - 1][seed, 1]) for G in seen[at - 1 :])
        values = np.stack([mixed.metrics[name][:, seed, 1] for name in MEASURED])
        assert np.isfinite(values[[0, 2, 3, 4], :at]).all()
        assert np.isnan(values[:, at:]).all()


def test_the_bound_is_relative_to_the_readout():
    """A run is refused at the step at which G leaves WEIGHT_BOUND / |f_0|, by a loop written out."""
    run, again = (make_run("sgd", (40.0,), task=LINEAR, seeds=(0,)) for _ in range(2))
    _, batches = stepped(again, 16)
    G, f = both(run.weights, run, 0, 0)
    largest = []
    for batch in batches:
        x, y = batch.x[0], batch.y[0]
        G = G + 40.0 / power(run) * f.mT * ((y - x @ G.mT @ f[0]) @ x) / len(y)
        largest.append(float(G.abs().max()))
    bound = WEIGHT_BOUND / power(run) ** 0.5
    refused = next(step for step, size in enumerate(largest, 1) if size > bound)
    assert trained(run, range(16)).diverged_at.tolist() == [[refused]]
    assert largest[refused - 2] > WEIGHT_BOUND  # large, and still accepted


def test_a_run_without_any_left_goes_on_without_numbers():
    """Where every run has diverged, all metrics are NaN, and the training ends as it should."""
    task = single_index_task(
        activation="linear", metrics=["train_loss", "alignment", "singular_values"]
    )
    trace = trained(make_run("sgd", (1e9,), task=task), range(6))
    assert trace.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert (trace.diverged_at > 0).all() and (trace.diverged_at < 3).all()
    assert {"train_loss", "alignment", "singular_values_update_9"} <= set(trace.metrics)
    for values in trace.metrics.values():
        assert np.isnan(values[3:]).all()


def test_weights_that_are_not_finite_are_not_ok():
    """NaN or infinity in either layer of one run stops that run, at that step, and no other."""
    for layer, value in product((0, 1), (torch.nan, torch.inf)):
        run = make_run("sgd", (0.1, 0.2), task=single_index_task(layers="both"))
        step, taken = run.rule.step, []

        def spoiled(views, memory, step=step, taken=taken, layer=layer, value=value):
            weights, memory = step(views, memory)
            taken.append(0)
            if len(taken) == 2:
                weights[layer][1, 0, 0, 3] = value
            return weights, memory

        run.rule.step = spoiled
        assert trained(run, range(5)).diverged_at.tolist() == [[-1, -1], [2, -1]]


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_follows_double_precision(method):
    # SOAP takes all eigenvectors of Gram matrices, arbitrary where they are singular, and it amplifies
    # rounding where they are nearly so.
    sizes = {"layers": "first", "width": 12} if method == "soap" else {"layers": "both"}
    task = single_index_task(readout_scale=0.2, **sizes)
    traces = [
        trained(make_run(method, (0.05,), task=task, dtype=dtype), [0, 5])
        for dtype in ("float64", "float32")
    ]
    for name in MEASURED:
        double, single = (trace.metrics[name][1] for trace in traces)
        assert single.dtype == np.float32
        # Newton solves with an indefinite matrix.
        tolerance = {"soap": 1e-2, "newton": 2e-2}.get(method, 2e-3)
        assert single == pytest.approx(double, rel=tolerance)


def test_recording_does_not_change_the_run():
    often, seldom = (trained(make_run("adam", (0.02,)), steps) for steps in (range(7), [0, 3, 6]))
    for name in MEASURED:
        assert np.array_equal(often.metrics[name][[0, 3, 6]], seldom.metrics[name], equal_nan=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_is_the_same_alone_and_among_others(method):
    among = trained(make_run(method, (0.1, 0.2), seeds=(0, 3, 8)), [0, 4])
    alone = trained(make_run(method, (0.1, 0.2), seeds=(3,)), [0, 4])
    for name in MEASURED:
        assert among.metrics[name][:, 1] == pytest.approx(
            alone.metrics[name][:, 0], rel=1e-9, nan_ok=True
        )


@pytest.mark.parametrize("method", METHODS)
def test_steps_do_not_change_their_arguments(method):
    run = make_run(method, task=single_index_task(layers="both"))
    batch = run.batches.next()
    before = [part.clone() for part in (*run.weights, batch.x, batch.y)]
    run.rule.step([run.network.view(run.weights, batch)], run.rule.start(run.weights))
    assert all(map(torch.equal, (*run.weights, batch.x, batch.y), before))
