"""Single-index data, the regressions fitted on it, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch

from helpers import SMALL_STEP as PROBLEM
from helpers import assert_close, random
from layerwise.data.single_index import (
    ACTIVATIONS,
    draw_instance,
    draw_sample,
    standardise,
)
from layerwise.metrics.ridge import (
    STRENGTHS,
    Refit,
    Sample,
    leading_singular,
    ridge_path,
    second_moment,
    validated_ridge,
)
from layerwise.theory.links import LINKS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_autograds(name):
    u = torch.tensor([-30.0, -1.3, -1e-9, 0.0, 1e-9, 0.4, 5.0], dtype=torch.float64)
    u.requires_grad_()
    (expected,) = torch.autograd.grad(ACTIVATIONS[name].value(u).sum(), u)
    assert_close(ACTIVATIONS[name].slope(u.detach()), expected, 1e-14)


def test_sizes():
    assert PROBLEM.n == 40 and PROBLEM.refit_samples == 40
    assert replace(PROBLEM, n_ridge=7).refit_samples == 7
    instance = draw_instance(PROBLEM, 3)
    assert instance.features.shape == (9, 12) and instance.readout.shape == (9,)
    assert instance.eigenvectors.shape == (12, 12) and instance.direction.shape == (12,)
    assert draw_instance(replace(PROBLEM, basis="axis"), 3).eigenvectors is None


def test_laws():
    """Second moments of inputs, truth, weights and noise, within about five standard errors."""
    problem = replace(PROBLEM, d=200, width=150, readout_scale=0.2)
    instance = draw_instance(problem, 0)
    assert float(instance.eigenvalues.sum()) == pytest.approx(200)
    assert float(instance.eigenvalues.max() / instance.eigenvalues.min()) == pytest.approx(10)
    assert float(instance.direction.square().sum()) == pytest.approx(1, abs=0.5)
    assert float(instance.features.square().sum()) == pytest.approx(150, rel=0.05)
    assert float(instance.readout.square().sum()) == pytest.approx(0.04, rel=0.6)
    sample = draw_sample(problem, instance, "step", 4000, 0)
    x = instance.from_eigenbasis(sample.inputs)
    covariance = instance.times_covariance_power(torch.eye(200, dtype=torch.float64), 1.0)
    error = torch.linalg.matrix_norm(x.mT @ x / 4000 - covariance)
    assert float(error) == pytest.approx(200 / math.sqrt(4000), rel=0.1)  # tr Sigma / sqrt(n)
    noise = sample.labels - sample.clean
    assert float(noise.std()) == pytest.approx(0.3, rel=0.06)


@pytest.mark.parametrize("link", LINKS)
def test_labels_are_the_links(link):
    problem = replace(PROBLEM, link=link, noise=0.0)
    instance = draw_instance(problem, 1)
    sample = draw_sample(problem, instance, "step", 20, 1)
    index = instance.from_eigenbasis(sample.inputs) @ instance.direction
    expected = {
        "tanh": torch.tanh(index),
        "relu": torch.relu(index),
        "erf": torch.erf(index),
        "linear": index,
        "he1_plus_he3": index**3 - 2 * index,
    }
    assert_close(sample.clean, expected[link], 1e-12)
    assert torch.equal(sample.labels, sample.clean)


def test_whitening_and_bases():
    instance = draw_instance(PROBLEM, 2)
    rows = random(4, 12, seed=0)
    assert_close(instance.from_eigenbasis(instance.to_eigenbasis(rows)), rows)
    half = instance.times_covariance_power(rows, -0.5)
    assert_close(
        instance.times_covariance_power(half, -0.5), instance.times_covariance_power(rows, -1.0)
    )


def test_streams_do_not_depend_on_sizes_or_scales():
    """Fewer samples are the first of more; a readout's scale and the noise move nothing else."""
    changed = replace(PROBLEM, readout_scale=0.1, noise=0.6, link="erf")
    instance, other = draw_instance(PROBLEM, 5), draw_instance(changed, 5)
    for a, b in zip(instance[:4], other[:4], strict=True):
        assert torch.equal(a, b)
    assert_close(other.readout, 0.1 * instance.readout, 1e-15)
    few, many = (draw_sample(PROBLEM, instance, "step", n, 5) for n in (10, 30))
    assert torch.equal(few.inputs, many.inputs[:10])
    assert not torch.equal(few.inputs, draw_sample(PROBLEM, instance, "test", 10, 5).inputs)
    assert not torch.equal(few.inputs, draw_sample(PROBLEM, instance, "step", 10, 6).inputs)
    louder = draw_sample(changed, other, "step", 10, 5)
    assert_close(louder.labels - louder.clean, 2 * (few.labels - few.clean), 1e-12)


def test_standardise_is_torchs_batch_norm():
    hidden = random(30, 4, seed=1) * 3 + 2
    layer = torch.nn.BatchNorm1d(4, affine=False, dtype=torch.float64)
    assert_close(standardise(hidden)[0], layer(hidden), 1e-12)
    assert_close(standardise(hidden[:7], hidden)[0], layer(hidden)[:7], 1e-12)


# --- Ridge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, p", [(40, 7), (7, 40), (12, 12)])
def test_ridge_is_a_direct_solve(n, p):
    """The bordered normal equations, intercept included, for each strength."""
    features, labels = random(n, p, seed=0) + 0.5, random(n, seed=1) + 2
    path = ridge_path(features, labels, [1e-4, 0.1, 10.0])
    scale = features.var(dim=0, correction=0).mean()
    assert_close(path.strength, scale * scale.new_tensor([1e-4, 0.1, 10.0]))
    design = torch.cat([features, torch.ones(n, 1, dtype=torch.float64)], dim=1)
    for i, strength in enumerate(path.strength):
        penalty = torch.diag(torch.cat([strength.repeat(p), strength.new_zeros(1)]))
        solution = torch.linalg.solve(design.mT @ design / n + penalty, design.mT @ labels / n)
        assert_close(path.weights[:, i], solution[:p], 1e-9)
        assert_close(path.intercept[i], solution[p], 1e-9)
        assert_close(path.predict(features)[:, i], design @ solution, 1e-9)


def test_the_strength_with_the_least_held_out_error_is_chosen():
    features, truth = random(40, 30, seed=2), random(30, seed=3)
    labels = features @ truth + 3 * random(40, seed=4)
    held_out = random(500, 30, seed=5)
    target = held_out @ truth
    chosen = validated_ridge(features, labels, held_out, target)
    path = ridge_path(features, labels, STRENGTHS)
    errors = (path.predict(held_out) - target[:, None]).square().mean(dim=0)
    assert float((chosen.predict(held_out) - target).square().mean()) == pytest.approx(
        float(errors.min()), rel=1e-9
    )
    assert 0 < int(errors.argmin()) < len(STRENGTHS) - 1


def test_constant_features_predict_the_mean():
    labels = random(10, seed=0)
    fit = validated_ridge(labels.new_ones(10, 3), labels, labels.new_ones(4, 3), labels[:4])
    assert_close(fit.predict(labels.new_ones(2, 3)), labels.mean().repeat(2))


@pytest.mark.parametrize("n, d", [(40, 7), (7, 40)])
def test_one_decomposition_serves_all_damping_values(n, d):
    x = random(n, d, seed=6)
    rows, moment = random(3, n, seed=7) @ x, second_moment(x)
    identity = torch.eye(d, dtype=torch.float64)
    for damping in (1e-3, 0.5, 20.0):
        expected = torch.linalg.solve(x.mT @ x / n + damping * identity, rows, left=False)
        assert_close(moment.solve(rows @ moment.vectors, damping), expected)
    pseudo_inverse = torch.linalg.pinv(x.mT @ x / n, hermitian=True)
    assert_close(moment.solve(rows @ moment.vectors, 0.0), rows @ pseudo_inverse)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_singular_values_and_vector(shape):
    matrix = random(*shape, seed=8)
    singular, exact = leading_singular(matrix, 4), torch.linalg.svd(matrix)
    assert_close(singular.values, exact.S[:4], 1e-12)
    top = singular.top / singular.top.norm()
    assert float((top @ exact.Vh[0]).abs()) == pytest.approx(1, abs=1e-12)


def test_errors_of_a_refitted_readout():
    """A linear model on linear features leaves the noise; without its direction, all the rest."""
    direction, noise = random(5, seed=9), 0.5
    samples = []
    for i, n in enumerate((2000, 500, 4000)):
        inputs = random(n, 5, seed=20 + i)
        clean = inputs @ direction + 1
        samples.append(Sample(inputs, clean, clean + noise * random(n, seed=30 + i)))
    basis = torch.linalg.svd(direction[None]).Vh
    refit = Refit(samples, basis[1:], ACTIVATIONS["linear"], False, noise)
    assert refit.error_at_start == pytest.approx(1, abs=0.05)
    assert refit.noise_floor == pytest.approx(0.25 / (float(direction @ direction) + 0.25), rel=0.1)
    assert refit.error_linear(direction) == pytest.approx(refit.noise_floor, abs=1e-12)
    assert refit.error_linear(basis[1]) == pytest.approx(1, abs=0.01)
    moved = refit.errors(basis[[0, 1, 2, 3]] - basis[1:], [0.0, 1.0])
    assert moved[0] == refit.error_at_start
    assert moved[1] == pytest.approx(refit.noise_floor, rel=0.02)


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        ({"aspect_ratio": 0.0}, "aspect_ratio = 0.0 is impossible"),
        ({"aspect_ratio": -1.0}, "aspect_ratio = -1.0 is impossible"),
        ({"aspect_ratio": math.nan}, "aspect_ratio = nan is impossible"),
        ({"aspect_ratio": 100.0}, "aspect_ratio = 100.0 is impossible"),
        ({"d": 0}, "d = 0 is impossible"),
        ({"width": 0}, "width = 0 is impossible"),
        ({"kappa_x": 0.5}, "kappa_x = 0.5 is impossible"),
        ({"d": 1, "aspect_ratio": 0.1}, "exactly 1 when d = 1"),
        ({"noise": -0.1}, "noise = -0.1 is impossible"),
        ({"readout_scale": 0.0}, "readout_scale = 0.0 is impossible"),
        ({"n_ridge": 1}, "n_ridge = 1 is impossible"),
        ({"n_test": 0}, "n_test = 0 is impossible"),
        ({"spectrum": "powerlaw"}, "spectrum = 'powerlaw' is unknown.*did you mean 'power_law'"),
        ({"basis": "axes"}, "did you mean 'axis'"),
        ({"link": "tahn"}, "did you mean 'tanh'"),
        ({"activation": "reul"}, "did you mean 'relu'"),
    ],
)
def test_refusals_say_why(change, message):
    with pytest.raises(ValueError, match=message) as refusal:
        replace(PROBLEM, **change)
    assert "\n" not in str(refusal.value)
