"""One step of the two-layer network: against autograd, dense algebra, torch.optim and the theory."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from helpers import SMALL_STEP as SMALL
from helpers import assert_close
from layerwise.data.covariance import spectrum
from layerwise.data.single_index import ACTIVATIONS
from layerwise.tasks.single_step import COLUMNS, METHODS, OneStep, run_one_step, spike
from layerwise.theory.alignment import predicted_alignment

WIDE = replace(SMALL, aspect_ratio=1.5)  # fewer samples than dimensions


def begin(method, problem=SMALL, seed=0):
    return OneStep(problem, method, seed, torch.float64, "cpu")


def dampings(method):
    return [0.1, 1.0] if METHODS[method].takes_damping else []


def raw_batch(step):
    """The inputs as drawn, undoing nothing: with the labels, from the plain network's step."""
    plain = step.start
    return plain.x, plain.y


def network_inputs(method, x, instance):
    """What reaches the first layer, by other means than the package's."""
    if method == "bn_input_sgd":
        return torch.nn.BatchNorm1d(x.shape[1], affine=False, dtype=x.dtype)(x)
    if method == "whitened_sgd":
        values, vectors = torch.linalg.eigh(covariance(instance))
        return x @ (vectors / values.sqrt()) @ vectors.mT
    return x


def covariance(instance):
    vectors = instance.eigenvectors
    return (vectors * instance.eigenvalues) @ vectors.mT


def back_to_x(method, rows, x, instance):
    """rows T, for rows that act on the network's inputs T x."""
    if method == "bn_input_sgd":
        return rows / (x.var(dim=0, correction=0) + 1e-5).sqrt()
    if method == "whitened_sgd":
        values, vectors = torch.linalg.eigh(covariance(instance))
        return rows @ (vectors / values.sqrt()) @ vectors.mT
    return rows


def output(method, G, f, x, activation):
    """The network's output as torch would have it."""
    hidden = x @ G.mT
    if method == "bn_hidden_sgd":
        hidden = torch.nn.BatchNorm1d(len(f), affine=False, dtype=x.dtype)(hidden)
    return ACTIVATIONS[activation].value(hidden) @ f


def descent_by_autograd(method, problem, seed=0):
    """Minus autograd's gradient, in the original coordinates, and the batch."""
    step = begin("sgd", problem, seed)
    (x, y), instance = raw_batch(step), step.instance
    G = instance.features.clone().requires_grad_()
    inputs = network_inputs(method, x, instance)
    prediction = output(method, G, instance.readout, inputs, problem.activation)
    (0.5 * (y - prediction).square().mean()).backward()
    return -back_to_x(method, G.grad, x, instance), x, y


# --- Updates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("problem", [SMALL, WIDE], ids=["n > d", "n < d"])
@pytest.mark.parametrize("method", ["sgd", "bn_hidden_sgd", "bn_input_sgd", "whitened_sgd"])
def test_gradients_are_autograds(method, problem, activation):
    problem = replace(problem, activation=activation)
    expected, _, _ = descent_by_autograd(method, problem)
    assert_close(begin(method, problem).change(0.0), expected)


@pytest.mark.parametrize("damping", [0.0, 1e-3, 0.3, 10.0])
@pytest.mark.parametrize("problem", [SMALL, WIDE], ids=["n > d", "n < d"])
def test_kfac_is_the_gradient_times_a_dense_inverse(problem, damping):
    descent, x, y = descent_by_autograd("sgd", problem)
    damped = x.mT @ x / len(y) + damping * torch.eye(problem.d, dtype=torch.float64)
    inverse = torch.linalg.pinv(damped, hermitian=True) if damping == 0 else damped.inverse()
    step = begin("kfac", problem)
    assert_close(step.change(damping), descent @ inverse, 1e-9)
    direction = step.direction(step.change(damping), damping)
    assert_close(direction, inverse @ x.mT @ y / len(y), 1e-9)


def test_kfac_without_damping_fits_the_labels_best():
    """(X^T X)^-1 X^T y is the least-squares solution, and where n < d the one of least norm."""
    for problem in (SMALL, WIDE):
        step = begin("kfac", problem)
        x, y = raw_batch(step)
        direction = step.direction(step.change(0.0), 0.0)
        assert_close(direction, torch.linalg.lstsq(x, y[:, None], driver="gelsd").solution[:, 0])


@pytest.mark.parametrize("problem", [SMALL, WIDE], ids=["n > d", "n < d"])
@pytest.mark.parametrize("method", ["kfac", "gauss_newton"])
def test_large_damping_is_sgd(method, problem):
    descent, large = begin("sgd", problem).change(0.0), 1e9
    change = begin(method, problem).change(large)
    assert_close(change / change.norm(), descent / descent.norm(), 1e-7)
    columns = run_one_step(problem, method, [large], [], [0])
    sgd = run_one_step(problem, "sgd", [], [], [0])
    assert columns["alignment_update"] == pytest.approx(sgd["alignment_update"], abs=1e-7)
    if method == "kfac":
        assert columns["alignment_direction"] == pytest.approx(sgd["alignment_direction"], abs=1e-7)


def test_adam_is_torch_optims_first_step():
    step = begin("adam")
    (x, y), lr = raw_batch(step), 0.05
    G = torch.nn.Parameter(step.instance.features.clone())
    optimiser = torch.optim.Adam([G], lr=lr)
    prediction = output("adam", G, step.instance.readout, x, SMALL.activation)
    (0.5 * (y - prediction).square().mean()).backward()
    optimiser.step()
    assert_close(lr * step.change(0.0), G.detach() - step.instance.features)


@pytest.mark.parametrize("problem", [SMALL, WIDE], ids=["n > d", "n < d"])
def test_gauss_newton_is_the_dense_one(problem):
    """Autograd's Jacobian of f(x_i) by G, and the system of width * d unknowns."""
    step, damping = begin("gauss_newton", problem), 0.2
    x, y = raw_batch(step)
    G, f = step.instance.features, step.instance.readout
    jacobian = torch.autograd.functional.jacobian(
        lambda weights: output("sgd", weights, f, x, problem.activation), G
    ).reshape(len(y), -1)
    residual = y - output("sgd", G, f, x, problem.activation)
    unknowns = torch.eye(G.numel(), dtype=torch.float64)
    system = jacobian.mT @ jacobian / len(y) + damping * f.square().sum() * unknowns
    expected = torch.linalg.solve(system, jacobian.mT @ residual / len(y))
    assert_close(step.change(damping), expected.view_as(G))


def test_whitening_of_isotropic_inputs_is_sgd():
    problem = replace(SMALL, kappa_x=1.0)
    assert_close(begin("whitened_sgd", problem).change(0.0), begin("sgd", problem).change(0.0))


def test_batch_norms_depend_on_the_basis_or_do_not():
    """Batch-norm on the inputs undoes a diagonal Sigma_x, and nothing of a rotated one."""
    problem = replace(SMALL, d=60, aspect_ratio=0.02, kappa_x=100.0, basis="axis", width=20)
    axis = begin("bn_input_sgd", problem)
    white = begin("whitened_sgd", problem)
    ratio = axis.before.norm(dim=0) / white.before.norm(dim=0)
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=0.05)
    rotated = begin("bn_input_sgd", replace(problem, basis="rotated"))
    plain = begin("sgd", replace(problem, basis="rotated"))
    ratio = rotated.before.norm(dim=0) / plain.before.norm(dim=0)
    assert float(ratio.max() / ratio.min()) < 3


@pytest.mark.parametrize("method", METHODS)
def test_step_size_one_moves_the_preactivations_by_their_own_size(method):
    step = begin(method)
    change = step.scaled(step.change(0.1))
    power = [torch.trace(m @ covariance(step.instance) @ m.mT) for m in (change, step.before)]
    assert_close(power[0], power[1])


@pytest.mark.parametrize("method", METHODS)
def test_features_after_the_step_are_the_networks(method):
    """H = G_1 T (x - shift) as the refit sees it, against the network applied to raw inputs."""
    problem = replace(SMALL, n_test=11)
    step, lr = begin(method, problem), 0.7
    instance, (x, _) = step.instance, raw_batch(begin("sgd", problem))
    refit = step.refit()
    change = step.scaled(step.change(0.1))
    seen = refit._samples[2].inputs @ instance.to_eigenbasis(step.before + lr * change).mT
    own_change = begin(method, problem)
    G = instance.features + lr * own_change.method.update(own_change.start, 0.1) * (
        change.norm() / step.change(0.1).norm()
    )
    fresh = begin("sgd", problem).refit()._samples[2].inputs
    fresh = instance.from_eigenbasis(fresh)
    if method == "bn_input_sgd":
        fresh = (fresh - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-5).sqrt()
    else:
        fresh = network_inputs(method, fresh, instance)
    assert_close(seen, fresh @ G.mT)


# --- Runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_columns_and_rows(method):
    columns = run_one_step(SMALL, method, dampings(method), [0.0, 1.0], [4, 1])
    assert tuple(columns) == COLUMNS
    keys = list(zip(*(columns[name] for name in COLUMNS[:3]), strict=True))
    assert keys == list(product(dampings(method) or [0.0], [0.0, 1.0], [1, 4]))
    assert all(math.isfinite(value) for column in columns.values() for value in column)
    for row in zip(*columns.values(), strict=True):
        named = dict(zip(COLUMNS, row, strict=True))
        assert abs(named["alignment_direction"]) <= 1 and 0 <= named["alignment_update"] <= 1
        assert named["spike_ratio"] >= 1
        assert named["noise_floor"] <= named["test_error_linear"] <= 1
        if named["lr"] == 0:
            assert named["test_error"] == named["test_error_random_features"]


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_is_the_same_alone_and_among_others(method):
    among = run_one_step(SMALL, method, dampings(method), [0.5], [0, 3, 8])
    alone = run_one_step(SMALL, method, dampings(method)[-1:], [0.5], [3])
    row = [
        i for i, seed in enumerate(among["seed"])
        if seed == 3 and among["damping"][i] == alone["damping"][0]
    ]  # fmt: skip
    assert {name: [among[name][i] for i in row] for name in COLUMNS} == alone


def test_alignments_alone():
    columns = run_one_step(SMALL, "kfac", [0.1], [], [0])
    full = run_one_step(SMALL, "kfac", [0.1], [1.0], [0])
    for name in ("alignment_direction", "alignment_update", "spike_ratio"):
        assert columns[name] == full[name]
    assert math.isnan(columns["lr"][0]) and math.isnan(columns["test_error"][0])


def test_a_step_of_kfac_helps_more_than_one_of_sgd():
    """With a readout refitted on fresh samples, against random features; medians over 3 seeds."""
    problem = replace(
        SMALL, d=100, aspect_ratio=0.2, width=100, kappa_x=30.0, readout_scale=0.1, n_test=1000
    )
    errors = {
        method: run_one_step(problem, method, damping, [0.3, 1.0, 3.0, 10.0], [0, 1, 2])
        for method, damping in (("sgd", []), ("kfac", [0.1]))
    }
    best = {
        method: np.median(np.array(columns["test_error"]).reshape(4, 3), axis=1).min()
        for method, columns in errors.items()
    }
    random_features = np.median(errors["sgd"]["test_error_random_features"])
    assert best["kfac"] < best["sgd"] < random_features


def test_spectral_descent_has_one_singular_value_and_descends_by_the_nuclear_norm():
    step = begin("spectral")
    change, descent = step.change(0.0), begin("sgd").change(0.0)
    assert_close(
        torch.linalg.svdvals(change), torch.ones(min(change.shape), dtype=change.dtype), 1e-10
    )
    assert_close((change * descent).sum(), torch.linalg.matrix_norm(descent, "nuc"), 1e-10)


# All of spectral descent's singular values are equal: no vector is its top one.
@pytest.mark.parametrize("method", [name for name in METHODS if name != "spectral"])
def test_spike(method):
    damping = 0.1 if METHODS[method].takes_damping else 0.0
    found = spike(SMALL, method, damping, 2.0, 0, count=4)
    step = begin(method)
    change = step.scaled(step.change(damping))
    exact = torch.linalg.svd(change)
    assert_close(found.update, exact.S[:4], 1e-8)
    assert_close(found.before, torch.linalg.svdvals(step.before)[:4], 1e-8)
    assert_close(found.after, torch.linalg.svdvals(step.before + 2 * change)[:4], 1e-8)
    beta = step.instance.direction
    biased = covariance(step.instance) @ beta
    for value, vector in ((found.cosine_direction, beta), (found.cosine_biased, biased)):
        assert value == pytest.approx(float((exact.Vh[0] @ vector).abs() / vector.norm()), abs=1e-9)
    columns = run_one_step(SMALL, method, dampings(method)[:1], [], [0])
    assert columns["alignment_update"] == pytest.approx([found.cosine_direction])
    assert columns["spike_ratio"] == pytest.approx([float(found.update[0] / found.update[1])])


# --- Theory against the network ----------------------------------------------------------------------

LAW = replace(SMALL, d=200, width=200, readout_scale=0.05, noise=0.3)
SEEDS = range(8)
SETTINGS = [
    (LAW, 0.1),
    (replace(LAW, kappa_x=100.0, activation="erf"), 0.0),
    (replace(LAW, aspect_ratio=2.0, spectrum="two_level", link="erf"), 0.3),
    (replace(LAW, aspect_ratio=2.0, activation="relu", link="relu"), 0.0),
    (replace(LAW, spectrum="power_law", link="linear", basis="axis"), 1.0),
]
SLOW = [
    (replace(LAW, aspect_ratio=gamma, kappa_x=kappa, spectrum=kind, link=link, d=400, width=400), d)
    for (kind, kappa), gamma, (link, d) in product(
        (("log", 10.0), ("log", 1000.0), ("two_level", 30.0), ("power_law", 10.0)),
        (0.3, 2.0),
        (("tanh", 0.0), ("relu", 0.1), ("he1_plus_he3", 1.0)),
    )
]


def measured(problem, method, damping):
    """Means and standard errors over seeds of both alignments."""
    columns = run_one_step(problem, method, [damping] if method == "kfac" else [], [], SEEDS)
    values = np.array([columns["alignment_direction"], columns["alignment_update"]])
    return values.mean(axis=1), values.std(axis=1, ddof=1) / math.sqrt(len(SEEDS))


def disagreements(settings):
    """Where a mean is further from the prediction than three standard errors and finite size.

    For the direction finite size shifts by m2 / d: the variance of beta^T x fluctuates about its
    mean by sqrt(2 m2 / d) of itself, and a smooth function of it shifts by about half that squared.
    The update has the rest of the gradient beside its spike, and follows y - f_0(x), not y: at a
    readout of 0.05 that is allowed 0.02.
    """
    found = []
    for (problem, damping), method in product(settings, ("sgd", "kfac")):
        values = spectrum(problem.spectrum, problem.d, problem.kappa_x)
        limit = predicted_alignment(
            method,
            values,
            problem.d / problem.n,
            problem.link,
            problem.noise,
            damping if method == "kfac" else 0.0,
        )
        mean, error = measured(problem, method, damping)
        size = np.mean(values**2) / problem.d
        wrong = np.abs(mean - limit) > 3 * error + size + np.array([0.0, 0.02])
        if wrong.any():
            found.append((problem, method, damping, limit, mean, error))
    return found


def test_theory_agrees_with_the_network():
    assert disagreements(SETTINGS) == []


@pytest.mark.slow
def test_theory_agrees_with_the_network_on_a_grid():
    assert disagreements(SLOW) == []


def test_a_readout_of_order_one_lowers_the_updates_alignment():
    """The step then follows y - f_0(x): the update's alignment falls, that of X^T y does not."""
    for method in ("sgd", "kfac"):
        (direction, update), _ = measured(LAW, method, 0.1)
        (same, lower), _ = measured(replace(LAW, readout_scale=1.0), method, 0.1)
        assert same == direction
        assert lower < update - 0.05


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, damping, step_sizes, message",
    [
        ("kfca", [0.1], [1.0], "method = 'kfca' is unknown.*did you mean 'kfac'"),
        ("bn_hiden_sgd", [], [1.0], "did you mean 'bn_hidden_sgd'"),
        ("kfac", [0.1, -1.0], [1.0], "damping = -1.0 is impossible"),
        ("kfac", [math.nan], [1.0], "damping = nan is impossible"),
        ("kfac", [], [1.0], "kfac needs at least one"),
        ("sgd", [0.1], [1.0], "sgd has no damping"),
        ("gauss_newton", [0.0], [1.0], "gauss_newton needs a positive one"),
        ("sgd", [], [-1.0], "step size = -1.0 is impossible"),
    ],
)
def test_refusals_say_why(method, damping, step_sizes, message):
    with pytest.raises(ValueError, match=message) as refusal:
        run_one_step(SMALL, method, damping, step_sizes, [0])
    assert "\n" not in str(refusal.value)


def test_at_least_one_seed():
    with pytest.raises(ValueError, match="seeds = \\[\\] is not allowed"):
        run_one_step(SMALL, "sgd", [], [1.0], [])


def test_gauss_newton_refuses_too_many_samples():
    problem = replace(SMALL, aspect_ratio=12 / 5000)
    with pytest.raises(ValueError, match="makes 5000 samples, too many for gauss_newton"):
        run_one_step(problem, "gauss_newton", [0.1], [1.0], [0])
