"""The single-index network's views against autograd, and what reaches its first layer."""

from itertools import product

import pytest
import torch

from helpers import assert_close, random, single_index_task
from layerwise.data.single_index import Batch, draw_instance
from layerwise.networks.activations import ACTIVATIONS
from layerwise.networks.base import NotOfferedError
from layerwise.networks.single_index import SingleIndexNetwork
from layerwise.settings.tasks.single_index import SingleIndexTask
from single_index_runs import output, reaching, transform

NETWORKS = list(SingleIndexTask.networks)


def setting(network, activation="tanh", layers="both"):
    """Two seeds' networks, a shifted batch, and weights of three variants' own."""
    task = single_index_task(d=5, width=7, aspect_ratio=0.25, activation=activation, layers=layers)
    instances = [draw_instance(task, seed) for seed in (0, 1)]
    x, y = random(2, 20, 5, seed=0) + 0.5, random(2, 20, seed=1)
    batch = Batch(lambda: (x, y))
    weights = (random(2, 3, 7, 5, seed=2), random(2, 3, 1, 7, seed=3))
    return SingleIndexNetwork(network, task, instances), batch, weights, instances


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_loss_and_gradients_are_autograds(network, activation):
    """For every run of a batch of 2 seeds and 3 variants, with weights of their own."""
    tested, batch, weights, instances = setting(network, activation)
    view = tested.view(weights, batch)
    for s, v in product(range(2), range(3)):
        x = reaching(network, batch.x[s], instances[s])
        G, f = (layer[s, v].clone().requires_grad_() for layer in weights)
        loss = 0.5 * (batch.y[s] - output(network, G, f, x, activation)).square().mean()
        loss.backward()
        assert_close(view.loss[s, v], loss.detach())
        assert_close(view.gradients[0][s, v], G.grad)
        assert_close(view.gradients[1][s, v], f.grad)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_readout_that_is_not_trained_is_the_starts(network):
    """G alone is among the weights, and its gradient is that with f as it was drawn."""
    first, batch, (G, _), instances = setting(network, layers="first")
    readouts = torch.stack([instance.readout for instance in instances])[:, None, None]
    view = first.view((G,), batch)
    full = setting(network)[0].view((G, readouts.expand(-1, 3, -1, -1)), batch)
    assert len(view.gradients) == 1
    assert_close(view.gradients[0], full.gradients[0], 1e-14)
    assert_close(view.loss, full.loss, 1e-14)


@pytest.mark.parametrize("network", ["plain", "bn_input", "whitened"])
def test_factors_are_second_moments_of_what_reaches_the_layers(network):
    """Q_G = X^T X / n of the transformed inputs, not centred, and Q_F = Z^T Z / n of the features."""
    tested, batch, weights, instances = setting(network)
    view = tested.view(weights, batch)
    for s, v in product(range(2), range(3)):
        x = reaching(network, batch.x[s], instances[s])
        z = torch.tanh(x @ weights[0][s, v].mT)
        assert_close(view.inputs(0).matrix[s], x.mT @ x / 20)
        assert_close(view.inputs(1).matrix[s, v], z.mT @ z / 20)


def test_a_moved_view_has_the_same_batch_at_other_weights():
    tested, batch, (G, f), _ = setting("plain")
    moved = tested.view((G, f), batch).at((2 * G, f))
    assert_close(moved.loss, tested.view((2 * G, f), batch).loss, 1e-15)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_map_of_the_original_coordinates(network):
    """Rows that act on the network's inputs, times T."""
    tested, batch, (G, _), instances = setting(network)
    found = tested.prepared(batch).on_original(G)
    for s, v in product(range(2), range(3)):
        assert_close(found[s, v], G[s, v] @ transform(network, batch.x[s], instances[s]))


def test_what_is_not_offered_is_refused_by_name():
    """P_G has rank one; behind a batch-norm there is no factor and no second-order step."""
    damping = torch.ones(1, 1, 1, dtype=torch.float64)
    tested, batch, weights, _ = setting("plain")
    with pytest.raises(NotOfferedError, match="offers no outputs"):
        tested.view(weights, batch).natural(0)
    with pytest.raises(NotOfferedError, match="offers no refit"):
        tested.view(weights, batch).refitted()
    tested, batch, weights, _ = setting("bn_hidden")
    view = tested.view(weights, batch)
    for ask, need in (
        (lambda: view.inputs(0), "inputs"),
        (lambda: view.gauss_newton(damping), "gauss_newton"),
        (lambda: view.newton(damping), "hessian"),
    ):
        with pytest.raises(NotOfferedError, match=f"offers no {need}"):
            ask()
