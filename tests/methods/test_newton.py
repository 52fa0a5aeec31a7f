"""Newton's Hessian against autograd's, where it is singular, and how fast it converges."""

from itertools import pairwise, product

import pytest
import torch

from helpers import (
    Stepper,
    Weights,
    assert_close,
    method_settings,
    population,
    random,
    random_batch,
    random_weights,
    small_settings,
)
from layerwise.data.moments import Moments
from layerwise.networks.linear import LinearView
from layerwise.networks.second_order import hessian
from layerwise.settings.validation import ConfigError
from textbook import batch_loss, forwards

plain = forwards(torch.eye(6, dtype=torch.float64))["plain"]


def matrix_of(weights, moments, seed=0):
    return hessian(weights.features[seed], weights.head[seed], moments.xx[seed], moments.yx[seed])


def newton(of, weights, lr, damping=0.0):
    return Stepper(method_settings("newton.Newton", [lr], [damping]), of, weights)


@pytest.mark.parametrize("d_y", [3, 5])
def test_the_hessian_is_autograds_on_the_raw_batch(d_y):
    of = population(d_y=d_y)
    weights = random_weights(of, 2)
    x, y = random_batch(of, 20, seed=0)
    moments = Moments.of_batch(x, y)
    for s, v in product(range(2), range(2)):
        G, F = weights.features[s, v], weights.head[s, v]

        def loss(w, G=G, F=F, s=s):
            g, f = w.split([G.numel(), F.numel()])
            return batch_loss(plain, g.view_as(G), f.view_as(F), x[s], y[s])

        expected = torch.autograd.functional.hessian(loss, torch.cat([G.flatten(), F.flatten()]))
        assert_close(matrix_of(weights, moments, s)[v], expected)


def test_along_the_rescalings_it_gives_the_gradient():
    """H (A G, -F A) = (-A^T grad_G, grad_F A^T): singular there at stationary points alone."""
    of = population()
    weights = random_weights(of, 1)
    moments = Moments.of_batch(*random_batch(of, 20, seed=0))
    gradients = Weights(*LinearView(moments, weights).gradients)
    A = random(3, 3, seed=5)
    along = torch.cat([(A @ weights.features).flatten(2), -(weights.head @ A).flatten(2)], dim=2)
    expected = torch.cat(
        [-(A.T @ gradients.features).flatten(2), (gradients.head @ A.T).flatten(2)], dim=2
    )
    assert_close(matrix_of(weights, moments) @ along[0, 0], expected[0])
    eigenvalues = torch.linalg.eigvalsh(matrix_of(weights, moments))
    assert eigenvalues.min() < -0.01  # indefinite


def test_it_converges_quadratically():
    """Without noise, next to a solution: each step squares the error, up to a constant. (Later ones
    meet a Hessian that is as singular as the gradient is small, and rounding.)"""
    of = population(seeds=(0,), noise=0.0)
    moments = Moments.of_batch(*random_batch(of, 40, seed=0))
    truth = [part[:, None] for part in (of.features, of.head)]
    weights = Weights(*(w + 0.03 * random(*w.shape, seed=2) for w in truth))
    method, errors = newton(of, weights, lr=1.0), []
    for _ in range(4):
        errors.append(float((weights.head @ weights.features - of.map).norm()))
        weights = method.step(weights, [moments])
    rates = [after / before**2 for before, after in pairwise(errors)]
    assert errors[0] > 0.1
    assert max(rates) < 5
    assert errors[-1] < 1e-6


def test_a_singular_hessian_gives_nan_in_its_run_alone():
    """At zero weights the Hessian has no more than 2 k rank(E[y x^T]) nonzero eigenvalues."""
    of = population()
    weights = random_weights(of, 2)
    settings = method_settings("newton.Newton", [0.1, 0.5], [0.0])
    batch = [Moments.of_batch(*random_batch(of, 20, seed=0))]
    before = Stepper(settings, of, weights).step(weights, batch)
    zeros = Weights(*(part.clone() for part in weights))
    for part in zeros:
        part[0, 0] = 0.0
    after = Stepper(settings, of, zeros).step(zeros, batch)
    for old, new in zip(before, after, strict=True):
        assert new[0, 0].isnan().all()
        assert torch.equal(new.flatten(0, 1)[1:], old.flatten(0, 1)[1:])


def test_too_many_weights_are_refused():
    """k (d_x + d_y) is at most 1024."""
    sizes = ["task.rank=8", "task.d_y=28"]
    assert small_settings("newton", *sizes, "task.d_x=100").task.d_x == 100
    with pytest.raises(
        ConfigError, match=r"^task\.rank \* \(task\.d_x \+ task\.d_y\) = 1032 is not"
    ):
        small_settings("newton", *sizes, "task.d_x=101")
