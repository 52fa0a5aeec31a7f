"""Second moments that a step divides by, against dense inverses."""

from itertools import product

import pytest
import torch

from helpers import assert_close, random
from layerwise.networks.factors import RunFactor, SeedFactor, SpannedFactor, for_variants

DAMPINGS = torch.tensor([1e-3, 0.5, 20.0], dtype=torch.float64)[:, None, None]


def moments(n, d):
    """Second moments of two seeds' samples, and rows of three dampings' two variants in their span."""
    x = random(2, n, d, seed=6)
    return x.mT @ x / n, random(2, 6, 3, n, seed=7) @ x[:, None]


def check(factor, rows, dampings):
    """Every run's rows solved by a dense inverse."""
    found = factor.solve(rows, dampings)
    each = len(rows[0]) // len(dampings)
    for s, v in product(range(2), range(6)):
        matrix = factor.matrix[s] if factor.matrix.dim() == 3 else factor.matrix[s, v]
        damped = matrix + dampings[v // each] * torch.eye(matrix.shape[-1], dtype=matrix.dtype)
        expected = torch.linalg.solve(damped, rows[s, v], left=False)
        assert_close(found[s, v], expected)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (7, 40)])
def test_one_decomposition_serves_all_damping_values(n, d):
    """Also of fewer samples than dimensions; at damping 0 it is then the pseudo-inverse."""
    matrix, rows = moments(n, d)
    factor = SpannedFactor(matrix, n)
    check(factor, rows, DAMPINGS)
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)
    expected = rows @ torch.linalg.pinv(matrix, hermitian=True)[:, None]
    assert_close(factor.solve(rows, zero), expected)


def test_factors_of_a_seed_and_of_a_run_are_dense_inverses():
    """The damping's values are of successive variants, as many of each."""
    matrix, rows = moments(40, 7)
    check(SeedFactor(matrix), rows, DAMPINGS)
    own = matrix[:, None] * torch.arange(1, 7, dtype=torch.float64)[:, None, None]
    check(RunFactor(own), rows, DAMPINGS)


def test_another_matrix_is_solved_in_the_same_way():
    matrix, rows = moments(40, 7)
    for factor in (SeedFactor(matrix, True), SpannedFactor(matrix, 40), RunFactor(matrix[:, None])):
        other = factor.with_matrix(2 * factor.matrix)
        assert type(other) is type(factor) and other.definite == factor.definite
        assert_close(other.solve(rows, 2 * DAMPINGS), factor.solve(rows, DAMPINGS) / 2)


def test_a_singular_matrix_of_a_run_gives_nan_there_alone():
    matrix, rows = moments(40, 7)
    own = matrix[:, None].repeat(1, 6, 1, 1)
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)
    before = RunFactor(own).solve(rows, zero)
    own[0, 2, 1, 1] = -1.0
    after = RunFactor(own).solve(rows, zero)
    assert after[0, 2].isnan().all()
    kept = torch.arange(12) != 2
    assert torch.equal(after.flatten(0, 1)[kept], before.flatten(0, 1)[kept])


def test_dampings_are_of_successive_variants():
    assert for_variants(DAMPINGS, 6).flatten().tolist() == [1e-3, 1e-3, 0.5, 0.5, 20.0, 20.0]
