"""Spectra with mean one and an exact condition number, and uniformly distributed bases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerwise.data.covariance import SPECTRA, eigenbasis, haar, spectrum
from layerwise.data.instances import head

kinds = st.sampled_from(sorted(SPECTRA))


@given(kinds, st.integers(2, 200), st.floats(1, 1e8))
def test_spectra_are_positive_descending_with_mean_one_and_the_condition_number(kind, d, kappa):
    values = spectrum(kind, d, kappa)
    assert values.shape == (d,)
    assert (values > 0).all()
    assert (np.diff(values) <= 1e-12 * values[:-1]).all()
    assert values.mean() == pytest.approx(1, rel=1e-12)
    assert values[0] / values[-1] == pytest.approx(kappa, rel=1e-9)


@given(kinds, st.integers(1, 50))
def test_condition_number_one_is_isotropic(kind, d):
    assert spectrum(kind, d, 1.0) == pytest.approx(np.ones(d), rel=1e-12)


def test_the_kinds_have_their_shapes():
    """Equal ratios; two levels; a straight line in log-log."""
    log = spectrum("log", 7, 100.0)
    assert log[1:] / log[:-1] == pytest.approx(np.full(6, 100 ** (-1 / 6)))
    assert len(np.unique(spectrum("two_level", 7, 100.0))) == 2
    power = spectrum("power_law", 7, 100.0)
    slopes = np.diff(np.log(power)) / np.diff(np.log(np.arange(1, 8)))
    assert slopes == pytest.approx(np.full(6, -np.log(100) / np.log(7)))


@pytest.mark.parametrize(
    ("kind", "d", "kappa", "named"),
    [("flat", 3, 2.0, "flat"), ("log", 3, 0.5, "0.5"), ("log", 1, 2.0, "2.0")],
)
def test_impossible_spectra_are_refused(kind, d, kappa, named):
    with pytest.raises(ValueError, match=named):
        spectrum(kind, d, kappa)


def test_an_unknown_basis_is_refused():
    with pytest.raises(ValueError, match="diagonal"):
        eigenbasis("diagonal", 3, np.random.default_rng(0))


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(0, 12))
def test_haar_matrices_have_orthonormal_columns(seed, columns, more):
    q = haar(np.random.default_rng(seed), columns + more, columns)
    assert q.shape == (columns + more, columns)
    assert np.abs(q.T @ q - np.eye(columns)).max() < 1e-13


def test_haar_matrices_are_uniformly_distributed():
    """E tr(A Q) = 0 and E tr(A Q)^2 = tr(A A^T) / d for any A, here the identity and a random one.

    The QR decomposition's own sign convention would give a negative trace.
    """
    rng = np.random.default_rng(0)
    draws = np.stack([haar(rng, 3, 3) for _ in range(4000)])
    for a in (np.eye(3), rng.standard_normal((3, 3))):
        traces = np.einsum("ij,nji->n", a, draws)
        variance = (a**2).sum() / 3
        assert abs(traces.mean()) < 4 * np.sqrt(variance / 4000)
        assert traces.var() == pytest.approx(variance, rel=0.15)
    determinants = np.linalg.det(draws)
    assert abs((determinants > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_the_axis_basis_is_the_identity():
    assert np.array_equal(eigenbasis("axis", 4, np.random.default_rng(0)), np.eye(4))


@given(st.integers(0, 1000), st.integers(2, 6), st.floats(1, 1e4))
def test_the_true_heads_singular_values_are_log_spaced_from_one(seed, rank, kappa):
    values = np.linalg.svd(head(np.random.default_rng(seed), 8, rank, kappa), compute_uv=False)
    assert values == pytest.approx(np.geomspace(1, 1 / kappa, rank), rel=1e-9)
