"""The direction of steepest descent in the spectral norm, against torch's SVD and its definition."""

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
)
from layerwise.data.moments import Moments
from layerwise.methods.spectral import spectral_direction


def of_singular_values(rows, columns, values):
    """Two matrices with the given singular values, and the bases of them."""
    small = min(rows, columns)
    u = torch.linalg.qr(random(2, rows, small, seed=0)).Q
    v = torch.linalg.qr(random(2, columns, small, seed=1)).Q
    return (u * torch.as_tensor(values, dtype=u.dtype)) @ v.mT, u, v


@pytest.mark.parametrize(("rows", "columns"), [(8, 100), (15, 8), (3, 3)])
def test_it_is_the_svds(rows, columns):
    """|grad|_* U V^T from torch.linalg.svd, for wide, tall and square matrices."""
    gradient = random(2, 3, rows, columns, seed=0)
    u, s, vh = torch.linalg.svd(gradient, full_matrices=False)
    assert_close(spectral_direction(gradient), s.sum(-1)[..., None, None] * (u @ vh))


@pytest.mark.parametrize(("rows", "columns"), [(4, 30), (30, 4)])
@pytest.mark.parametrize("smallest", [1e-3, 1e-6, 1e-9, 1e-12])
def test_small_singular_values_count_as_much_as_large_ones(rows, columns, smallest):
    """Down to the rounding error, of which 1 / smallest is all that may be lost."""
    values = [1.0, 0.5, 0.1, smallest]
    gradient, u, v = of_singular_values(rows, columns, values)
    expected = sum(values) * (u @ v.mT)
    assert_close(spectral_direction(gradient), expected, 1e-14 / smallest)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_directions_without_gradient_are_left_alone(scale):
    """With rank two of four the direction has that rank, at any scale; of zero it is zero."""
    gradient, u, v = of_singular_values(4, 30, [2.0, 1.0, 0.0, 0.0])
    expected = 3.0 * (u[..., :2] @ v[..., :2].mT)
    assert_close(spectral_direction(scale * gradient) / scale, expected, 1e-12)
    assert not spectral_direction(torch.zeros_like(gradient)).any()


def test_no_other_step_descends_more_steeply():
    """It minimises <grad, D> + |D|_2^2 / (2 lr): no nearby step, nor the gradient's own, does better."""
    gradient, lr = random(4, 9, seed=0), 0.3

    def model(step):
        return (gradient * step).sum() + torch.linalg.matrix_norm(step, 2) ** 2 / (2 * lr)

    best = -lr * spectral_direction(gradient)
    nuclear = torch.linalg.matrix_norm(gradient, "nuc")
    assert_close(model(best), -lr * nuclear**2 / 2)
    for seed in range(50):
        assert model(best + 0.1 * random(4, 9, seed=seed)) > model(best)
    assert all(model(-size * gradient) > model(best) for size in (0.1, 0.3, 1.0))


def test_the_path_follows_rotations_but_not_other_changes_of_basis():
    """Rotating inputs and hidden units takes the path along; stretching an input does not."""
    of = population(seeds=(0,))
    start = random_weights(of, 1)
    batches = [random_batch(of, 20, seed=10 * t) for t in range(4)]

    def path(weights, A):
        method = Stepper(method_settings("spectral.SpectralDescent", [0.05]), of, weights)
        for x, y in batches:
            weights = method.step(weights, [Moments.of_batch(x @ A.T, y)])
        return weights

    def change(weights, A, B):
        inverse = torch.linalg.inv(A)
        return Weights(B @ weights.features @ inverse, weights.head @ torch.linalg.inv(B))

    identity = torch.eye(6, dtype=torch.float64)
    rotations = [torch.linalg.qr(random(n, n, seed=n)).Q for n in (6, 3)]
    stretch = [torch.diag(torch.tensor([3.0, 1, 1, 1, 1, 1]).double()), torch.eye(3).double()]
    for (A, B), follows in ((rotations, True), (stretch, False)):
        actual, expected = path(change(start, A, B), A), change(path(start, identity), A, B)
        error = float((actual.features - expected.features).norm() / expected.features.norm())
        assert error < 1e-10 if follows else error > 0.05
