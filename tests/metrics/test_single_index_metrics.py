"""What is measured of a single-index network: against dense algebra and torch's own layers."""

import numpy as np
import pytest
import torch

from helpers import assert_close, random, single_index_task
from layerwise.data.single_index import draw_fresh, draw_instance
from layerwise.metrics.ridge import validated_ridge
from layerwise.metrics.single_index import METRICS, Bench, Learnt
from layerwise.networks.activations import ACTIVATIONS
from layerwise.settings.tasks.single_index import SingleIndexTask
from single_index_runs import covariance, transform

NETWORKS = list(SingleIndexTask.networks)
TASK = single_index_task(n_test=60)


def learnt(network, task=TASK, seed=1):
    """A run after a step of random numbers, its instance, and its fresh samples."""
    instance = draw_instance(task, seed)
    G = instance.features + 0.3 * random(task.width, task.d, seed=50)
    run = Learnt(G, random(task.width, seed=51), Bench(task, network, instance, seed))
    return run, G, instance, draw_fresh(task, instance, seed)


def features_by_torch(network, G, instance, samples, activation="tanh"):
    """sigma(G x) on each sample, by dense transforms and torch's batch-norm in evaluation, whose
    statistics are those of the first sample."""
    xs = [instance.from_eigenbasis(sample.inputs) for sample in samples]
    shift = xs[0].mean(dim=0) if network == "bn_input" else 0.0
    hidden = [(x - shift) @ transform(network, xs[0], instance) @ G.mT for x in xs]
    if network == "bn_hidden":
        norm = torch.nn.BatchNorm1d(len(G), affine=False, momentum=1.0, dtype=G.dtype)
        norm(hidden[0])
        norm.running_var *= (len(xs[0]) - 1) / len(xs[0])  # torch's running variance is unbiased
        hidden = [norm.eval()(rows) for rows in hidden]
    return [ACTIVATIONS[activation].value(rows) for rows in hidden]


def relative_error(prediction, clean, noise):
    excess = (prediction - clean).square().mean() + noise**2
    return float(excess / (clean.var(correction=0) + noise**2))


@pytest.mark.parametrize("network", NETWORKS)
def test_features_are_the_networks_on_fresh_samples(network):
    """Those for the refit, the choice and the validation (the held-out sample's parts), and the test."""
    run, G, instance, (fit, held_out, test) = learnt(network)
    expected = features_by_torch(network, G, instance, (fit, held_out, test))
    assert [len(part) for part in run.features] == [40, 15, 16, 60]
    for found, part in zip(
        (run.features[0], torch.cat(run.features[1:3]), run.features[3]), expected, strict=True
    ):
        assert_close(found, part)


@pytest.mark.parametrize("network", NETWORKS)
def test_changes_are_measured_in_the_original_coordinates(network):
    """Alignments and the spike by dense singular vectors of (G - G_0) T."""
    run, G, instance, (fit, *_) = learnt(network)
    T = transform(network, instance.from_eigenbasis(fit.inputs), instance)
    change, beta = (G - instance.features) @ T, instance.direction
    _, values, Vh = torch.linalg.svd(change)
    along = instance.readout @ change
    biased = covariance(instance) @ beta
    expected = {
        "alignment": (Vh[0] @ beta).abs() / beta.norm(),
        "cosine_biased": (Vh[0] @ biased).abs() / biased.norm(),
        "alignment_readout": along @ beta / along.norm() / beta.norm(),
        "spike_ratio": values[0] / values[1],
    }
    for name, value in expected.items():
        assert float(METRICS[name](run)) == pytest.approx(float(value), abs=1e-9), name


@pytest.mark.parametrize("network", NETWORKS)
def test_errors_by_other_means(network):
    """A ridge readout whose strength is chosen on the first held-out samples, and f itself."""
    run, G, instance, (fit, held_out, test) = learnt(network)
    z_fit, z_held_out, z_test = features_by_torch(network, G, instance, (fit, held_out, test))
    ridge = validated_ridge(z_fit, fit.labels, z_held_out[:15], held_out.labels[:15])
    expected = {
        "validation_error": (ridge.predict(z_held_out[15:]), held_out.clean[15:]),
        "test_error": (ridge.predict(z_test), test.clean),
        "network_error": (z_test @ run.head, test.clean),
    }
    for name, (prediction, clean) in expected.items():
        error = relative_error(prediction, clean, TASK.noise)
        assert float(METRICS[name](run)) == pytest.approx(error, rel=1e-8), name


def test_errors_of_a_refitted_readout():
    """A linear model on linear features leaves the noise; without its direction, all the rest."""
    task = single_index_task(
        d=5, width=4, aspect_ratio=0.0025, kappa_x=1.0, link="linear", activation="linear",
        noise=0.5, n_choice=500, n_validation=4000, n_test=4000,
    )  # fmt: skip
    instance = draw_instance(task, 0)
    bench = Bench(task, "plain", instance, 0)
    beta = instance.direction
    basis = torch.linalg.svd(beta[None]).Vh
    without, within = (Learnt(rows, beta[:4], bench) for rows in (basis[1:], basis[:4]))
    floor = float(METRICS["noise_floor"](within))
    assert floor == pytest.approx(0.25 / (float(beta @ beta) + 0.25), rel=0.1)
    assert float(METRICS["test_error"](without)) == pytest.approx(1, abs=0.05)
    assert float(METRICS["test_error"](within)) == pytest.approx(floor, rel=0.02)
    assert float(METRICS["validation_error"](within)) == pytest.approx(floor, rel=0.1)
    assert float(METRICS["test_error_linear"](within)) == pytest.approx(floor, abs=1e-12)


def test_the_best_linear_predictor_of_a_relu():
    """A Gaussian index and its positive part have correlation 1 / sqrt(2 (1 - 1 / pi))."""
    task = single_index_task(link="relu", n_test=50_000)
    run, *_ = learnt("plain", task)
    floor = float(METRICS["noise_floor"](run))
    explained = 1 / (2 * (1 - 1 / np.pi))
    expected = floor + (1 - explained) * (1 - floor)
    assert float(METRICS["test_error_linear"](run)) == pytest.approx(expected, abs=0.01)


def test_what_has_not_changed_has_no_alignment():
    """Whichever side of G is longer; errors are those of random features."""
    for width in (9, 30):
        task = single_index_task(width=width)
        instance = draw_instance(task, 0)
        run = Learnt(instance.features, instance.readout, Bench(task, "plain", instance, 0))
        for name in ("alignment", "alignment_readout", "cosine_biased", "spike_ratio"):
            assert np.isnan(METRICS[name](run))
        assert np.isfinite(float(METRICS["test_error"](run)))


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_features_beyond_the_precisions_range_predict_nothing(activation):
    """An infinite error, and none that is not a number."""
    task = single_index_task(activation=activation)
    instance = draw_instance(task, 0)
    bench = Bench(task, "plain", instance, 0)
    run = Learnt(1e200 * instance.features, 1e200 * instance.readout, bench)
    for name in ("validation_error", "test_error", "network_error"):
        assert float(METRICS[name](run)) == np.inf
