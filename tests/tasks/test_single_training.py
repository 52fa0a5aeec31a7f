"""Many steps of the single-index network: against autograd, torch.optim, one step, and least squares."""

import copy
import importlib
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from layerwise.tasks.single_step import OneStep
from layerwise.tasks.single_training import METRICS, Runs, train

from helpers import SMALL_STEP as SMALL
from helpers import assert_close, random
from layerwise.data.single_index import draw_fresh, draw_instance, draw_sample
from layerwise.metrics.ridge import ACTIVATIONS, Refit
from layerwise.networks.linear import Weights
from layerwise.networks.single_index import Batch, SingleIndexNetwork
from layerwise.settings.run import MethodSettings
from layerwise.tasks.loop import WEIGHT_BOUND

WIDE = replace(SMALL, aspect_ratio=1.5)  # fewer samples than dimensions
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
KFAC = {"precondition_outputs": True, "lr_head": None}
MUON = {"optimizer": "torch.optim.Muon", "weight_decay": 0.0}
OPTIONS = {"adam.Adam": ADAM, "kfac.KFAC": KFAC, "torch_optimizer.TorchOptimizer": MUON}
METHODS = {
    "sgd": ("sgd.SGD", "plain"),
    "adam": ("adam.Adam", "plain"),
    "kfac": ("kfac.KFAC", "plain"),
    "bn_hidden_sgd": ("sgd.SGD", "bn_hidden"),
    "bn_hidden_adam": ("adam.Adam", "bn_hidden"),
    "bn_input_sgd": ("sgd.SGD", "bn_input"),
    "bn_input_adam": ("adam.Adam", "bn_input"),
    "whitened_sgd": ("sgd.SGD", "whitened"),
    "spectral": ("spectral.SpectralDescent", "plain"),
    "torch": ("torch_optimizer.TorchOptimizer", "plain"),
}


def make_run(
    method,
    lr=(0.1,),
    damping=(),
    problem=SMALL,
    seeds=(0, 1),
    layers="first",
    samples="fresh",
    dtype=torch.float64,
    **options,
):
    rule, network = METHODS[method]
    settings = MethodSettings(
        name=method,
        rule=rule,
        network=network,
        lr=list(lr),
        damping=list(damping),
        takes_damping=bool(damping),
        inverts="nothing",
        options=options or OPTIONS.get(rule, {}),
    )
    return Runs(problem, settings, list(seeds), layers, samples, dtype, "cpu")


def stepped(run, steps):
    """The weights after some steps, and the batches that were used."""
    weights, batches = run.weights, []
    for _ in range(steps):
        batches.append(run.batches.next())
        weights = run.rule.step(weights, batches[-1])
    return weights, batches


def trained(run, recorded):
    return train(run, recorded, lambda step: None)


def output(method, G, f, x, activation="tanh"):
    """The network's output as torch would have it; ``f`` is of shape (1, width)."""
    hidden = x @ G.mT
    if METHODS[method][1] == "bn_hidden":
        hidden = torch.nn.BatchNorm1d(len(G), affine=False, dtype=x.dtype)(hidden)
    return ACTIVATIONS[activation].value(hidden) @ f[0]


def loss(G, f, x, y):
    """The plain network's loss."""
    return 0.5 * (y - torch.tanh(x @ G.mT) @ f[0]).square().mean()


def covariance(instance):
    return (instance.eigenvectors * instance.eigenvalues) @ instance.eigenvectors.mT


def power(f):
    """|f_0|^2, the natural unit."""
    return float(f.detach().square().sum())


# --- Loss and gradients ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", ["sgd", "bn_hidden_sgd"])
def test_loss_and_gradients_are_autograds(method, activation):
    """For every run of a batch of 2 seeds and 3 variants, with weights of their own."""
    batch = Batch(random(2, 20, 5, seed=0) + 0.5, random(2, 20, seed=1))
    G, f = random(2, 3, 7, 5, seed=2), random(2, 3, 1, 7, seed=3)
    network = SingleIndexNetwork(activation, "hidden" in method, trains_head=True)
    found = network.gradients(Weights(G, f), batch)
    assert_close(network.loss(Weights(G, f), batch), found.loss)
    for s, v in product(range(2), range(3)):
        g, h = (part[s, v].clone().requires_grad_() for part in (G, f))
        value = 0.5 * (batch.y[s] - output(method, g, h, batch.x[s], activation)).square().mean()
        value.backward()
        assert_close(found.loss[s, v], value.detach())
        assert_close(found.features[s, v], g.grad)
        assert_close(found.head[s, v], h.grad)


# --- Data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sgd", "bn_input_sgd", "whitened_sgd"])
def test_the_first_batch_is_that_of_one_step(method):
    batch = make_run(method, seeds=(3, 1)).batches.next()
    for place, seed in enumerate((3, 1)):
        start = OneStep(SMALL, method, seed, torch.float64, "cpu").start
        assert_close(batch.x[place], start.x, 1e-13)
        assert_close(batch.y[place], start.y, 1e-13)


def test_fresh_batches_go_on_in_the_stream_and_fixed_ones_do_not():
    fresh, fixed = make_run("sgd").batches, make_run("sgd", samples="fixed").batches
    instance = draw_instance(SMALL, 1)
    both = draw_sample(SMALL, instance, "step", 2 * SMALL.n, 1)
    first, second = fresh.next(), fresh.next()
    again = [fixed.next() for _ in range(2)]
    assert_close(second.x[1], instance.from_eigenbasis(both.inputs[SMALL.n :]), 1e-13)
    for batch in again:
        assert torch.equal(batch.x, first.x)
        assert torch.equal(batch.y, first.y)
    # The noise is a stream of its own, which does not see the inputs' draws.
    noise = second.y[1] - both.clean[SMALL.n :]
    assert_close(noise, (both.labels - both.clean)[SMALL.n :], 1e-12)


# --- Rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [SMALL, WIDE], ids=["n > d", "n < d"])
@pytest.mark.parametrize("samples", ["fresh", "fixed"])
@pytest.mark.parametrize(
    ("method", "damping"),
    [("sgd", ()), ("kfac", (0.0, 0.05, 2.0)), ("bn_hidden_sgd", ()), ("whitened_sgd", ())],
)
def test_one_step_is_that_of_the_one_step_simulation(method, damping, samples, problem):
    run = make_run(method, (0.2, 0.7), damping, problem, samples=samples)
    weights, _ = stepped(run, 1)
    for seed, (v, (value, lr)) in product((0, 1), enumerate(product(damping or [0], (0.2, 0.7)))):
        one = OneStep(problem, method, seed, torch.float64, "cpu")
        change = one.inputs.transform(weights.features[seed, v] - one.start.features)
        expected = one.change(value) * lr / power(one.start.readout)
        assert_close(change, expected, 1e-10)
        assert torch.equal(weights.head[seed, v, 0], one.start.readout)


@pytest.mark.parametrize("layers", ["first", "both"])
@pytest.mark.parametrize(
    "method", [name for name, (rule, _) in METHODS.items() if rule in ("sgd.SGD", "adam.Adam")]
)
def test_sgd_and_adam_are_those_of_torch_optim(method, layers):
    """Five steps of torch's optimiser and autograd on the same batches, each run alone."""
    lrs = (0.02, 0.1)
    run = make_run(method, lrs, layers=layers)
    weights, batches = stepped(run, 5)
    for s, v in product(range(2), range(2)):
        G, f = (part[s, v].clone().requires_grad_() for part in run.weights)
        if "adam" in method:
            optimiser = torch.optim.Adam([G, f], lr=lrs[v])
        else:
            natural = [(G, lrs[v] / power(f)), (f, lrs[v] / SMALL.width)]
            optimiser = torch.optim.SGD([{"params": [p], "lr": lr} for p, lr in natural])
        f.requires_grad_(layers == "both")
        for batch in batches:
            optimiser.zero_grad()
            (0.5 * (batch.y[s] - output(method, G, f, batch.x[s])).square().mean()).backward()
            optimiser.step()
        assert_close(weights.features[s, v], G.detach())
        assert_close(weights.head[s, v], f.detach())


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
def test_torch_optimizers_are_those_of_their_packages(path, options, layers):
    """Three steps of the class itself with autograd's gradients, each run alone. There are as many
    neurons as inputs: SOAP takes all eigenvectors of Gram matrices, arbitrary where they are singular."""
    module, name = path.rsplit(".", 1)
    optimizer = getattr(importlib.import_module(module), name)
    run = make_run(
        "torch", (0.02, 0.1), problem=replace(SMALL, width=SMALL.d), layers=layers,
        optimizer=path, **options,
    )  # fmt: skip
    weights, batches = stepped(run, 3)
    for s, (v, lr) in product(range(2), enumerate((0.02, 0.1))):
        G, f = (torch.nn.Parameter(part[s, v].clone()) for part in run.weights)
        alone = optimizer([G, f] if layers == "both" else [G], lr=lr, **options)
        for batch in batches:
            G.grad, f.grad = autograd(G.detach(), f.detach(), batch, s)
            alone.step()
        assert_close(weights.features[s, v], G.detach(), 1e-6)
        assert_close(weights.head[s, v], f.detach(), 1e-6)


@pytest.mark.parametrize("layers", ["first", "both"])
def test_spectral_descent_orthogonalises_each_layers_gradient(layers):
    run = make_run("spectral", (0.02, 0.1), layers=layers)
    weights, batches = stepped(run, 3)
    for s, (v, lr) in product(range(2), enumerate((0.02, 0.1))):
        G, f = (part[s, v].clone() for part in run.weights)
        for batch in batches:
            steps = []
            for gradient in autograd(G, f, batch, s):
                u, values, vt = torch.linalg.svd(gradient, full_matrices=False)
                steps.append(lr * values.sum() * (u @ vt))
            G = G - steps[0]
            f = f - steps[1] if layers == "both" else f
        assert_close(weights.features[s, v], G, 1e-6)
        assert_close(weights.head[s, v], f, 1e-6)


@pytest.mark.parametrize("damping", [0.03, 1.0])
def test_kfac_is_the_dense_equation(damping):
    """Four steps of Eq. 5 without P_G, by autograd and dense inverses: the head on the new features."""
    run = make_run("kfac", (0.1, 0.4), (damping,), layers="both")
    weights, batches = stepped(run, 4)
    for s, (v, lr) in product(range(2), enumerate((0.1, 0.4))):
        G, f = (part[s, v].clone() for part in run.weights)
        natural = lr / power(f)
        for batch in batches:
            x, y = batch.x[s], batch.y[s]
            Q = x.mT @ x / len(y) + damping * torch.eye(SMALL.d, dtype=x.dtype)
            G = G - natural * torch.func.grad(loss, 0)(G, f, x, y) @ Q.inverse()
            z = torch.tanh(x @ G.mT)
            Q = z.mT @ z / len(y)
            Q = Q + damping * Q.trace() / SMALL.width * torch.eye(SMALL.width, dtype=x.dtype)
            f = f - lr * torch.func.grad(loss, 1)(G, f, x, y) @ Q.inverse()
        assert_close(weights.features[s, v], G, 1e-9)
        assert_close(weights.head[s, v], f, 1e-9)


def test_kfacs_head_at_step_size_one_is_least_squares():
    run = make_run("kfac", (0.3,), (0.0,), layers="both", **KFAC | {"lr_head": 1.0})
    weights, batches = stepped(run, 2)
    for s in range(2):
        z = torch.tanh(batches[-1].x[s] @ weights.features[s, 0].mT)
        fitted = torch.linalg.lstsq(z, batches[-1].y[s][:, None]).solution
        assert_close(weights.head[s, 0], fitted.mT, 1e-8)


def test_large_damping_makes_kfac_sgd():
    large = 1e9
    kfac, _ = stepped(make_run("kfac", (0.1 * large,), (large,)), 3)
    sgd, _ = stepped(make_run("sgd", (0.1,)), 3)
    assert_close(kfac.features, sgd.features, 1e-7)


def test_a_fixed_sample_is_decomposed_once(monkeypatch):
    decomposed = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda m: decomposed.append(m.shape) or eigh(m))
    counts = []
    for samples in ("fixed", "fresh"):
        run = make_run("kfac", (0.1, 0.2), (0.1, 1.0), samples=samples)
        decomposed.clear()
        stepped(run, 3)
        counts.append(len(decomposed))
    assert counts == [1, 3]


# --- Measures ----------------------------------------------------------------------------------------


def dense_transform(method, x, instance):
    """T of the evaluated network, from the refit's raw sample x."""
    if METHODS[method][1] == "bn_input":
        return torch.diag((x.var(dim=0, correction=0) + 1e-5).rsqrt())
    if METHODS[method][1] == "whitened":
        values, vectors = torch.linalg.eigh(covariance(instance))
        return (vectors / values.sqrt()) @ vectors.mT
    return torch.eye(x.shape[1], dtype=x.dtype)


@pytest.mark.parametrize("method", METHODS)
def test_measures_by_other_means(method):
    """Alignment by dense singular vectors, and the network's own error by torch's batch-norm."""
    run = make_run(method, (0.1, 0.5), (0.1,) if method == "kfac" else ())
    weights, _ = stepped(run, 3)
    measured = dict(zip(METRICS[1:], run.measure(weights, torch.ones(2, 2) > 0), strict=True))
    for s, v in product(range(2), range(2)):
        instance = draw_instance(SMALL, s)
        samples = draw_fresh(SMALL, instance, s)
        xs = [instance.from_eigenbasis(sample.inputs) for sample in samples]
        T, beta = dense_transform(method, xs[0], instance), instance.direction
        G, f = weights.features[s, v], weights.head[s, v, 0]
        top = torch.linalg.svd((G - instance.features) @ T).Vh[0]
        assert_close(measured["alignment"][s, v], (top @ beta).abs() / beta.norm(), 1e-7)
        shift = xs[0].mean(dim=0) if METHODS[method][1] == "bn_input" else 0.0
        fit, test = ((x - shift) @ T @ G.mT for x in (xs[0], xs[2]))
        if METHODS[method][1] == "bn_hidden":
            norm = torch.nn.BatchNorm1d(len(G), affine=False, momentum=1.0, dtype=fit.dtype)
            norm(fit)
            norm.running_var *= (len(fit) - 1) / len(fit)  # torch's running variance is unbiased
            test = norm.eval()(test)
        clean, noise = samples[2].clean, SMALL.noise**2
        error = ((torch.tanh(test) @ f - clean).square().mean() + noise) / (
            clean.var(correction=0) + noise
        )
        assert_close(measured["network_error"][s, v], error)


@pytest.mark.parametrize("method", ["sgd", "bn_hidden_sgd"])
def test_refitted_errors_are_those_of_one_step(method):
    """The test error of a Refit whose strength is chosen on the first half of the validation sample;
    the validation error is that of the other half as test sample."""
    run = make_run(method, (0.4,))
    weights, _ = stepped(run, 2)
    measured = dict(zip(METRICS[1:], run.measure(weights, torch.ones(2, 1) > 0), strict=True))
    half = SMALL.n_validation // 2
    for seed in range(2):
        instance = draw_instance(SMALL, seed)
        fit, held_out, test = draw_fresh(SMALL, instance, seed)
        choice, validation = (
            type(test)(*(part[rows] for part in held_out))
            for rows in (slice(half), slice(half, None))
        )
        features = instance.to_eigenbasis(weights.features[seed, 0])
        for name, last in (("test_error", test), ("validation_error", validation)):
            refit = Refit(
                [fit, choice, last],
                features,
                ACTIVATIONS["tanh"],
                method == "bn_hidden_sgd",
                SMALL.noise,
            )
            assert float(measured[name][seed, 0]) == pytest.approx(refit.error_at_start, rel=1e-9)


def test_the_alignment_is_missing_without_a_change():
    """At step 0, whichever side of G is longer."""
    trace = trained(make_run("sgd", (0.1, 0.2)), [0, 1])
    assert np.isnan(trace.metrics["alignment"][0]).all()
    assert (trace.metrics["alignment"][1] <= 1).all()
    tall = make_run("sgd", problem=replace(SMALL, width=30))
    assert np.isnan(trained(tall, [0]).metrics["alignment"]).all()


# --- The loop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layers", ["first", "both"])
def test_the_loop_measures_the_rules_weights(method, layers):
    damping = (0.1, 1.0) if method == "kfac" else ()
    run = make_run(method, (0.05, 0.2), damping, layers=layers)
    trace = trained(run, [0, 3, 5])
    weights, _ = stepped(make_run(method, (0.05, 0.2), damping, layers=layers), 5)
    expected = run.measure(weights, torch.ones(weights.features.shape[:2]) > 0)
    for name, values in zip(METRICS[1:], expected, strict=True):
        assert np.array_equal(trace.metrics[name][2], values.numpy())
    assert trace.steps.tolist() == [0, 3, 5]
    assert trace.metrics["train_loss"].shape == (3, 2, 2 * max(len(damping), 1))
    assert (trace.diverged_at == -1).all()


def test_the_training_loss_is_on_the_coming_batch():
    trace = trained(make_run("sgd"), [0, 1])
    start, after = make_run("sgd").weights, stepped(make_run("sgd"), 1)[0]
    _, batches = stepped(make_run("sgd"), 2)
    for step, weights in enumerate((start, after)):
        for seed in range(2):
            G, f, batch = weights.features[seed, 0], weights.head[seed, 0], batches[step]
            expected = float(loss(G, f, batch.x[seed], batch.y[seed]))
            assert trace.metrics["train_loss"][step, seed, 0] == pytest.approx(expected, rel=1e-12)


LINEAR = replace(SMALL, activation="linear", readout_scale=0.01)


@pytest.mark.parametrize(
    ("method", "wild"), [("sgd", 40.0), ("kfac", 40.0), ("bn_input_sgd", 40.0)]
)
def test_a_diverged_run_is_frozen_and_its_neighbours_never_notice(method, wild):
    damping = (0.1,) if method == "kfac" else ()
    run, seen = make_run(method, (0.1, wild, 0.3), damping, LINEAR), []
    step = run.rule.step
    run.rule.step = lambda weights, batch: seen.append(weights.features) or step(weights, batch)
    mixed = trained(run, range(16))
    tame = trained(make_run(method, (0.1, 0.2, 0.3), damping, LINEAR), range(16))
    assert (mixed.diverged_at[:, [0, 2]] == -1).all()
    for name in METRICS:
        both = (trace.metrics[name][:, :, [0, 2]] for trace in (mixed, tame))
        assert np.array_equal(*both, equal_nan=True)
    for seed in range(2):
        at = mixed.diverged_at[seed, 1]
        assert 2 < at < 16
        assert all(torch.equal(G[seed, 1], seen[at - 1][seed, 1]) for G in seen[at - 1 :])
        values = np.stack([mixed.metrics[name][:, seed, 1] for name in METRICS])
        assert np.isfinite(values[[0, 2, 3, 4], :at]).all()
        assert np.isnan(values[:, at:]).all()


def test_the_bound_is_relative_to_the_readout():
    """A run is refused at the step at which G leaves WEIGHT_BOUND / |f_0|, by a loop written out."""
    run = make_run("sgd", (40.0,), problem=LINEAR, seeds=(0,))
    _, batches = stepped(make_run("sgd", (40.0,), problem=LINEAR, seeds=(0,)), 16)
    G, f = (part[0, 0] for part in run.weights)
    largest = []
    for batch in batches:
        x, y = batch.x[0], batch.y[0]
        G = G + 40.0 / power(f) * f.mT * ((y - x @ G.mT @ f[0]) @ x) / len(y)
        largest.append(float(G.abs().max()))
    bound = WEIGHT_BOUND / power(f) ** 0.5
    refused = next(step for step, size in enumerate(largest, 1) if size > bound)
    assert trained(run, range(16)).diverged_at.tolist() == [[refused]]
    assert largest[refused - 2] > WEIGHT_BOUND  # large, and still accepted


def test_weights_that_are_not_finite_are_not_ok():
    run = make_run("sgd", (0.1, 0.2))
    for layer, value in product((0, 1), (torch.nan, torch.inf)):
        weights = copy.deepcopy(run.weights)
        weights[layer][1, 0, 0, 3] = value
        assert run.ok(weights).tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_follows_double_precision(method):
    damping = (0.1,) if method == "kfac" else ()
    problem = replace(SMALL, readout_scale=0.2)
    traces = [
        trained(make_run(method, (0.05,), damping, problem, layers="both", dtype=dtype), [0, 5])
        for dtype in (torch.float64, torch.float32)
    ]
    for name in METRICS:
        double, single = (trace.metrics[name][1] for trace in traces)
        assert single.dtype == np.float32
        assert single == pytest.approx(double, rel=2e-3)


def test_recording_does_not_change_the_run():
    often, seldom = (trained(make_run("adam", (0.02,)), steps) for steps in (range(7), [0, 3, 6]))
    for name in METRICS:
        assert np.array_equal(often.metrics[name][[0, 3, 6]], seldom.metrics[name], equal_nan=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_is_the_same_alone_and_among_others(method):
    damping = (0.1,) if method == "kfac" else ()
    among = trained(make_run(method, (0.1, 0.2), damping, seeds=(0, 3, 8)), [0, 4])
    alone = trained(make_run(method, (0.1, 0.2), damping, seeds=(3,)), [0, 4])
    for name in METRICS:
        assert among.metrics[name][:, 1] == pytest.approx(
            alone.metrics[name][:, 0], rel=1e-9, nan_ok=True
        )


def test_steps_do_not_change_their_arguments():
    for method in METHODS:
        run = make_run(method, (0.1,), (0.1,) if method == "kfac" else (), layers="both")
        batch, before = run.batches.next(), copy.deepcopy(run.weights)
        x, y = batch.x.clone(), batch.y.clone()
        run.rule.step(run.weights, batch)
        assert all(map(torch.equal, (*run.weights, batch.x, batch.y), (*before, x, y)))
