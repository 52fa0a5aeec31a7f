"""The exact damped Gauss-Newton step, and KFAC's factors, against curvlinops' matrices."""

from itertools import product

import pytest
import torch
from curvlinops import GGNLinearOperator, KFACLinearOperator

from helpers import Weights, assert_close, population, random_batch, random_weights
from layerwise.data.moments import Moments
from layerwise.networks.linear import LinearView
from textbook import damped, forwards, ggn, gradients

plain = forwards(torch.eye(6, dtype=torch.float64))["plain"]
N = 20


def module_of(G, F):
    """The two-layer torch module with weights G and F."""
    first = torch.nn.Linear(G.shape[1], len(G), bias=False, dtype=G.dtype)
    second = torch.nn.Linear(len(G), len(F), bias=False, dtype=G.dtype)
    first.weight.data, second.weight.data = G.clone(), F.clone()
    return torch.nn.Sequential(first, second)


def to_our_loss(reduction, d_y):
    """Our loss, 0.5 mean over samples of |y - f|^2, as a multiple of MSELoss.

    MSELoss averages over samples and outputs, or sums over both, without the factor one half.
    """
    return {"mean": d_y / 2, "sum": 1 / (2 * N)}[reduction]


def dense(operator):
    return operator @ torch.eye(operator.shape[1], dtype=torch.float64)


def curvlinops_matrix(operator, G, F, x, y, reduction="mean", **options):
    """A curvature matrix of curvlinops in our loss's units, over (vec G, vec F)."""
    module = module_of(G, F)
    loss = torch.nn.MSELoss(reduction=reduction)
    matrix = operator(module, loss, list(module.parameters()), [(x, y)], **options)
    return dense(matrix).detach() * to_our_loss(reduction, len(F))


def one_run(seed=0):
    of = population(seeds=(seed,))
    x, y = random_batch(of, N, seed=seed)
    weights = random_weights(of, 1, seed)
    return weights.features[0, 0], weights.head[0, 0], x[0], y[0]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_step_solves_the_damped_system_with_curvlinops_matrix(reduction):
    """(H + damping I) (dG, dF) = -(grad_G, grad_F) with the matrix of GGNLinearOperator."""
    of = population()
    dampings = torch.tensor([1e-3, 0.5], dtype=torch.float64)
    weights = random_weights(of, 2)
    x, y = random_batch(of, N, seed=0)
    d_g, d_f = LinearView(Moments.of_batch(x, y), weights).gauss_newton(dampings[:, None, None])
    for s, v in product(range(2), range(2)):
        G, F = weights.features[s, v], weights.head[s, v]
        H = curvlinops_matrix(GGNLinearOperator, G, F, x[s], y[s], reduction)
        gradient = torch.cat([g.flatten() for g in gradients(plain, G, F, x[s], y[s])])
        step = torch.cat([d_g[s, v].flatten(), d_f[s, v].flatten()])
        assert_close(damped(H, dampings[v]) @ step, -gradient)


@pytest.mark.parametrize("d_y", [3, 5])
def test_the_step_solves_the_damped_system_with_autograds_jacobian(d_y):
    """The same with J^T J / n; with d_y = k there is nothing outside the range of F."""
    of = population(d_y=d_y)
    damping = 1e-2
    weights = random_weights(of, 1)
    x, y = random_batch(of, N, seed=0)
    one = torch.full((1, 1, 1), damping, dtype=torch.float64)
    d_g, d_f = LinearView(Moments.of_batch(x, y), weights).gauss_newton(one)
    for s in range(2):
        G, F = weights.features[s, 0], weights.head[s, 0]
        H = ggn(G, F, x[s])
        gradient = torch.cat([g.flatten() for g in gradients(plain, G, F, x[s], y[s])])
        expected = -torch.linalg.solve(damped(H, damping), gradient)
        assert_close(torch.cat([d_g[s, 0].flatten(), d_f[s, 0].flatten()]), expected)


def test_the_matrix_is_singular_without_damping():
    """The rescalings (A G, F A^-1) leave f as it is: k^2 zero eigenvalues, no more."""
    G, F, x, y = one_run()
    eigenvalues = torch.linalg.eigvalsh(curvlinops_matrix(GGNLinearOperator, G, F, x, y))
    assert (eigenvalues[:9].abs() < 1e-10).all()
    assert eigenvalues[9] > 1e-4


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_kfacs_factors_are_curvlinops(reduction):
    """kron(F^T F, Q_G) and kron(I, Q_F) are the diagonal blocks of KFACLinearOperator (type 2).

    For a linear network each is also exactly the block of the Gauss-Newton matrix.
    """
    G, F, x, y = one_run()
    approximation = curvlinops_matrix(
        KFACLinearOperator, G, F, x, y, reduction, fisher_type="type-2"
    )
    exact = curvlinops_matrix(GGNLinearOperator, G, F, x, y, reduction)
    z, cut = x @ G.T, G.numel()
    first = torch.kron((F.T @ F).contiguous(), x.T @ x / N)
    second = torch.kron(torch.eye(4, dtype=x.dtype), z.T @ z / N)
    for matrix in (approximation, exact):
        assert_close(matrix[:cut, :cut], first)
        assert_close(matrix[cut:, cut:], second)
    assert not approximation[:cut, cut:].any()
    assert exact[:cut, cut:].abs().max() > 0.1  # the cross terms are Gauss-Newton's alone


def test_kfacs_direction_solves_with_curvlinops_block():
    """P_G^-1 grad Q_G^-1 is the first block's inverse applied to the batch's gradient."""
    G, F, x, y = one_run()
    block = curvlinops_matrix(KFACLinearOperator, G, F, x, y, fisher_type="type-2")
    weights = Weights(G[None, None], F[None, None])
    view = LinearView(Moments.of_batch(x[None], y[None]), weights)
    gradient = view.gradient(0).flatten()
    expected = torch.linalg.solve(block[: G.numel(), : G.numel()], gradient).view_as(G)
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)
    assert_close(view.inputs(0).solve(view.natural(0), zero)[0, 0], expected)
