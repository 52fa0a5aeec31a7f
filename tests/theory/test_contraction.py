"""Without noise, the features' component outside the true subspace contracts at KFAC's own rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import Stepper, method_settings, population, random_weights, run
from layerwise.data.batches import RawBatches
from layerwise.data.moments import gaussian_moments

problems = st.fixed_dictionaries(
    {
        "kappa_x": st.floats(1, 1e3),
        "kappa_f": st.floats(1, 30),
        "spectrum": st.sampled_from(["log", "two_level", "power_law"]),
        "basis": st.sampled_from(["rotated", "axis"]),
    }
)
etas = st.floats(0.01, 1.5)
STREAMS = {"moments": gaussian_moments, "batches": RawBatches}


def outside(features, of):
    """G (I - G*^T G*), with true features (S, k, d_x) and features (S, 1, k, d_x)."""
    true = of.features[:, None]
    return features - features @ true.mT @ true


def steps(of, eta, precondition_outputs, engine, count=3):
    """Weights before and after each of a few steps of undamped KFAC."""
    weights = random_weights(of, 1)
    settings = method_settings(
        "kfac.KFAC", [eta], [0.0], precondition_outputs=precondition_outputs, lr_head=None
    )
    method = Stepper(settings, of, weights)
    source = STREAMS[engine](of, 40, range(len(of.features)), "test")
    for _ in range(count):
        before, weights = weights, method.step(weights, [source.next()])
        yield before, weights


@given(problems, etas, st.integers(0, 1000), st.sampled_from(["moments", "batches"]))
def test_kfac_contracts_by_one_minus_eta_whatever_the_conditioning(changes, eta, seed, engine):
    """G+ (I - G*^T G*) = (1 - eta) G (I - G*^T G*): exact for every Sigma_x, F* and head F.

    The tolerance, 1e-8 of G's size, leaves room for rounding at the largest condition numbers.
    """
    of = population(seeds=(seed,), noise=0.0, **changes)
    for before, after in steps(of, eta, True, engine):
        expected = (1 - eta) * outside(before.features, of)
        error = (outside(after.features, of) - expected).abs().max()
        assert error <= 1e-8 * before.features.abs().max()


@given(problems, etas, st.integers(0, 1000))
def test_with_the_input_factor_alone_the_heads_gram_matrix_sets_the_rate(changes, eta, seed):
    """P_G = I contracts by I - eta F^T F from the left, for every Sigma_x."""
    of = population(seeds=(seed,), noise=0.0, **changes)
    for before, after in steps(of, eta, False, "moments"):
        gram = before.head.mT @ before.head
        expected = outside(before.features, of) - eta * gram @ outside(before.features, of)
        error = (outside(after.features, of) - expected).abs().max()
        assert error <= 1e-8 * max(1.0, float(gram.max())) * before.features.abs().max()


@pytest.mark.parametrize(("kappa_x", "kappa_f"), [(1, 1), (1000, 1), (100, 10)])
def test_the_recorded_norm_follows_the_law_to_the_end(kappa_x, kappa_f):
    """outside_norm at step t is (1 - eta)^t times the first, for each step size of a run."""
    table = run(
        "kfac",
        "task.noise=0",
        f"task.kappa_x={kappa_x}",
        f"task.kappa_f={kappa_f}",
        "method.lr=[0.1,0.5,0.9]",
    )
    first = table.groupby(["lr", "seed"]).outside_norm.transform("first")
    expected = first * (1 - table.lr) ** table.step
    assert ((table.outside_norm - expected).abs() <= 1e-9 * first).all()


def test_noise_breaks_the_law():
    """With noise the outside component reaches a floor, so the law's test can fail."""
    table = run("kfac", "method.lr=[0.9]", "task.noise=0.1")
    first = table.groupby("seed").outside_norm.transform("first")
    last = table.step == 10
    assert (table.outside_norm[last] > 1e4 * first[last] * 0.1**10).all()
