"""Exact moment draws and raw batches give the same distribution of results.

The two-sample Kolmogorov-Smirnov test at level 1e-3: for samples of equal size m, the largest
distance of the empirical distribution functions passes sqrt(-ln(level / 2) / m) with probability
``level`` under the same law. Seeds differ between the samples, so that these are independent.
"""

import numpy as np
import pytest

from helpers import run

SEEDS = 64
CRITICAL = np.sqrt(-np.log(1e-3 / 2) / SEEDS)
LRS = {"kfac": 0.3, "sgd": 0.3, "adam": 0.05, "bn_hidden_sgd": 0.3, "gauss_newton": 0.3}


def final(method, engine, first_seed, batch_size):
    """The last step's rows of 64 seeds after 40 steps."""
    table = run(
        method,
        f"engine={engine}",
        f"seeds={list(range(first_seed, first_seed + SEEDS))}",
        f"task.batch_size={batch_size}",
        "task.d_x=6",
        "task.noise=0.5",
        f"method.lr={LRS[method]}",
        "method.damping=0.1" if method == "gauss_newton" else "engine=" + engine,
        "steps=40",
        "record_every=40",
    )
    return table[table.step == 40]


def ks_distance(a, b):
    """The largest distance of two empirical distribution functions."""
    points = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(sample), points, side="right") for sample in (a, b)]
    return np.abs(below[0] / len(a) - below[1] / len(b)).max()


@pytest.mark.parametrize("method", LRS)
def test_engines_agree_in_distribution(method):
    """Final subspace distance, excess loss and training loss over 64 seeds each, n = 16."""
    exact, raw = final(method, "moments", 0, 16), final(method, "batches", SEEDS, 16)
    for metric in ("subspace_distance", "excess_loss", "train_loss"):
        assert ks_distance(exact[metric].to_numpy(), raw[metric].to_numpy()) < CRITICAL


@pytest.mark.parametrize("metric", ["subspace_distance", "excess_loss"])
def test_the_comparison_has_power(metric):
    """The same test rejects when one engine's batches are twice as large."""
    exact, raw = final("kfac", "moments", 0, 16), final("kfac", "batches", SEEDS, 32)
    assert ks_distance(exact[metric].to_numpy(), raw[metric].to_numpy()) > CRITICAL


def test_the_distance_of_distributions_is_the_known_one():
    """Disjoint samples are at distance 1, equal ones at 0, and a half-shifted one at 1/2."""
    a = np.arange(10.0)
    assert ks_distance(a, a) == 0
    assert ks_distance(a, a + 100) == 1
    assert ks_distance(a, a + 5) == 0.5
