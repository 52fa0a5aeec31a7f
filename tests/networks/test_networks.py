"""Losses, gradients and running statistics of every network, against autograd on the batch."""

from itertools import product

import pytest
import torch
from torch import nn

from helpers import Weights, assert_close, population, random_batch, random_weights
from layerwise.data.moments import Moments
from layerwise.networks.linear import NETWORKS, least_squares_head
from textbook import batch_loss, forwards, gradients


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("mean", [0.0, 1.5])
def test_loss_and_gradients_are_autograds(name, mean):
    """From moments alone, the gradients of 0.5 mean |y - f(x)|^2 in training mode, to 1e-10.

    The inputs' mean matters to the normalised networks, so a shifted batch is tried too.
    """
    of = population()
    weights = random_weights(of, 2)
    x, y = random_batch(of, 12, seed=3, mean=mean)
    view = NETWORKS[name](of).view(weights, Moments.of_batch(x, y))
    alone = Weights(view.gradient(0), view.gradient(1))
    assert all(map(torch.equal, alone, view.gradients))
    for s, v in product(range(2), range(2)):
        forward = forwards(of.covariance_power(1.0)[s])[name]
        G, F = weights.features[s, v], weights.head[s, v]
        expected_G, expected_F = gradients(forward, G, F, x[s], y[s])
        assert_close(alone.features[s, v], expected_G)
        assert_close(alone.head[s, v], expected_F)
        assert_close(view.loss[s, v], batch_loss(forward, G, F, x[s], y[s]))


@pytest.mark.parametrize("name", ["plain", "whitened"])
def test_a_network_without_batch_norm_is_the_same_at_evaluation(name):
    """The predictor's map F (G' x) is the training forward's."""
    of = population()
    weights = random_weights(of, 2)
    x, _ = random_batch(of, 12, seed=3)
    predictor = NETWORKS[name](of).predictor(weights)
    assert predictor.offset is None
    for s, v in product(range(2), range(2)):
        forward = forwards(of.covariance_power(1.0)[s])[name]
        expected = forward(weights.features[s, v], weights.head[s, v], x[s])
        assert_close(x[s] @ predictor.features[s, v].T @ predictor.head[s, v].T, expected)


@pytest.mark.parametrize("name", ["bn_input", "bn_hidden"])
def test_evaluation_is_that_of_a_trained_batch_norm_layer(name):
    """After six batches, the predictor is nn.BatchNorm1d's in eval mode.

    PyTorch's running variance averages the unbiased variances of the batches, ours the biased ones
    that training divides by. Apart from the start at one, the two differ by the factor n / (n - 1)
    exactly; with that factor put in, the evaluated maps agree.
    """
    of, n, steps = population(), 12, 6
    paths = [random_weights(of, 2, seed=20 + t) for t in range(steps)]
    batches = [random_batch(of, n, seed=40 + t, mean=0.5) for t in range(steps)]
    network = NETWORKS[name](of)
    for weights, batch in zip(paths, batches, strict=True):
        moments = Moments.of_batch(*batch)
        network.observe(network.view(weights, moments), moments)
    predictor = network.predictor(paths[-1])
    start = 0.9**steps  # what is left of the running variance's start
    for s, v in product(range(2), range(2)):
        layer = nn.BatchNorm1d(6 if name == "bn_input" else 3, affine=False, dtype=torch.float64)
        for weights, (x, _) in zip(paths, batches, strict=True):
            layer(x[s] if name == "bn_input" else x[s] @ weights.features[s, v].T)
        unbiased = layer.running_var.clone()
        layer.running_var = start + (unbiased - start) * (n - 1) / n
        layer.eval()
        x, (G, F) = batches[0][0][s], (part[s, v] for part in paths[-1])
        expected = (layer(x) @ G.T if name == "bn_input" else layer(x @ G.T)) @ F.T
        z = x @ predictor.features[s, v].T + predictor.offset[s, v]
        assert_close(z @ predictor.head[s, v].T, expected)


@pytest.mark.parametrize("name", ["bn_input", "bn_hidden"])
def test_an_unseen_batch_norm_layer_only_divides_by_root_one_plus_epsilon(name):
    """Before any batch the running mean is 0 and the running variance 1."""
    of = population()
    weights = random_weights(of, 2)
    predictor = NETWORKS[name](of).predictor(weights)
    assert_close(predictor.features, weights.features / (1 + 1e-5) ** 0.5, 1e-14)
    assert not predictor.offset.any()


def test_the_fitted_head_is_least_squares_on_the_batch():
    """least_squares_head from moments is torch.linalg.lstsq on the raw batch."""
    of = population()
    features = random_weights(of, 2).features
    x, y = random_batch(of, 12, seed=3)
    head = least_squares_head(features, Moments.of_batch(x, y))
    for s, v in product(range(2), range(2)):
        assert_close(head[s, v], torch.linalg.lstsq(x[s] @ features[s, v].T, y[s]).solution.T)


def test_batch_norm_of_the_hidden_layer_ignores_the_features_scale():
    """Up to epsilon, f does not depend on the scale of G's rows, so each row's gradient is
    orthogonal to the row."""
    of = population()
    features, head = random_weights(of, 2)
    moments = Moments.of_batch(*random_batch(of, 12, seed=3))
    gradient = NETWORKS["bn_hidden"](of).view((1e3 * features, head), moments).gradient(0)
    along = (gradient * features).sum(dim=-1).abs()
    norms = gradient.norm(dim=-1) * features.norm(dim=-1)
    assert (along < 1e-8 * norms).all()
