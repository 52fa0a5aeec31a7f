"""First steps of Adam and of whitened SGD: the formulas against the step itself, and against numbers."""

import math

import numpy as np
import pytest

from helpers import single_index_task
from layerwise.data.covariance import haar, spectrum
from layerwise.theory.alignment import predicted_alignment
from layerwise.theory.one_step import BASES, adam_alignment, true_whitening_alignment
from single_index_runs import table

NOISE, GAMMA = 0.1, 0.25
KAPPAS = (1, 10, 100, 1000)


def directions(kappa: float, basis: str, width: int, seed: int, d: int = 200) -> dict[str, float]:
    """Cosines with beta of what one step learns, from the gradient written out: f_j small, ReLU gates."""
    rng = np.random.default_rng(seed)
    eigenvalues, n = spectrum("log", d, kappa), round(d / GAMMA)
    vectors = haar(rng, d, d) if basis == "rotated" else np.eye(d)
    x = (rng.standard_normal((n, d)) * np.sqrt(eigenvalues)) @ vectors.T
    beta = rng.standard_normal(d) / np.sqrt(d)
    y = np.tanh(x @ beta) + NOISE * rng.standard_normal(n)
    units, readout = rng.standard_normal((width, d)) / np.sqrt(d), rng.standard_normal(width)
    gates = (x @ units.T > 0).astype(float)
    gradient = readout[:, None] * ((gates * y[:, None]).T @ x / n)
    whitened = (vectors / eigenvalues) @ vectors.T @ x.T @ y
    learnt = {"adam": readout @ np.sign(gradient), "true whitening": whitened}
    return {
        name: float(v @ beta / np.linalg.norm(v) / np.linalg.norm(beta))
        for name, v in learnt.items()
    }


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("kappa", [1, 30, 300])
def test_formulas_agree_with_the_gradient_written_out(basis, kappa):
    """Three standard errors of ten seeds, and 0.01 for d = 200."""
    runs = [directions(kappa, basis, 300, seed) for seed in range(10)]
    eigenvalues = spectrum("log", 200, kappa)
    predicted = {
        "adam": adam_alignment(eigenvalues, GAMMA, "tanh", NOISE, basis, 300),
        "true whitening": true_whitening_alignment(eigenvalues, GAMMA, "tanh", NOISE),
    }
    for name, value in predicted.items():
        cosines = np.array([run[name] for run in runs])
        error = cosines.std(ddof=1) / math.sqrt(len(runs))
        assert abs(cosines.mean() - value) < 3 * error + 0.01


def test_an_earlier_audits_numbers():
    """Its formulas' to the last digit, and what it measured within 0.005: at a width of 150 for Adam."""
    eigenvalues = [spectrum("log", 150, kappa) for kappa in KAPPAS]
    adam = [adam_alignment(s, GAMMA, "tanh", NOISE) for s in eigenvalues]
    np.testing.assert_allclose(adam, [0.817, 0.788, 0.705, 0.605], atol=6e-4)
    finite = [adam_alignment(s, GAMMA, "tanh", NOISE, width=150) for s in eigenvalues]
    np.testing.assert_allclose(finite, [0.806, 0.780, 0.702, 0.602], atol=9e-3)
    white = [true_whitening_alignment(s, GAMMA, "tanh", NOISE) for s in eigenvalues]
    np.testing.assert_allclose(white, [0.885, 0.838, 0.660, 0.379], atol=6e-4)
    np.testing.assert_allclose(white, [0.884, 0.838, 0.657, 0.377], atol=4e-3)
    sgd = predicted_alignment("sgd", eigenvalues[-1], GAMMA, "tanh", NOISE)
    assert sgd == pytest.approx(0.516, abs=1e-3) and white[-1] < sgd < white[0]


@pytest.mark.parametrize(
    ("method", "basis"),
    [("bn_hidden_sgd", "axis"), ("bn_hidden_sgd", "rotated"), ("bn_input_sgd", "rotated"),
     ("spectral", "axis")],
)  # fmt: skip
def test_methods_that_follow_sgd(method, basis):
    """Within 0.02 of SGD's formula at kappa = 100, d = 150, over six seeds."""
    measured = learnt_alignment(method, basis)
    sgd = predicted_alignment("sgd", spectrum("log", 150, 100), GAMMA, "tanh", NOISE)
    assert measured == pytest.approx(sgd, abs=0.02)


def test_input_batch_norm_along_the_axes_is_whitening():
    measured = learnt_alignment("bn_input_sgd", "axis")
    white = true_whitening_alignment(spectrum("log", 150, 100), GAMMA, "tanh", NOISE)
    assert measured == pytest.approx(white, abs=0.02)


def learnt_alignment(method: str, basis: str) -> float:
    """The mean over six seeds of the alignment of what one step learns through a small readout."""
    task = single_index_task(
        d=150, aspect_ratio=GAMMA, width=150, kappa_x=100.0, basis=basis, activation="relu",
        noise=NOISE, readout_scale=0.01, lr_unit="preactivations", metrics=["alignment_readout"],
    )  # fmt: skip
    runs = table(method, [1.0], task=task, seeds=range(6))
    return float(runs.loc[runs["step"] == 1, "alignment_readout"].mean())


def test_limits():
    even = np.ones(10)
    # With an isotropic covariance the bases are one, and whitening is SGD.
    assert adam_alignment(even, 0.5, "tanh", NOISE, "axis") == pytest.approx(
        adam_alignment(even, 0.5, "tanh", NOISE, "rotated"), rel=1e-12
    )
    assert true_whitening_alignment(even, 0.5, "tanh", NOISE) == pytest.approx(
        predicted_alignment("sgd", even, 0.5, "tanh", NOISE), rel=1e-12
    )
    # With many samples along the axes what is left are signs: the cosine of a Gaussian with its signs.
    steep = spectrum("log", 50, 100)
    assert adam_alignment(steep, 1e-9, "tanh", NOISE) == pytest.approx(
        math.sqrt(2 / math.pi), rel=1e-3
    )
    assert true_whitening_alignment(steep, 1e-12, "tanh", NOISE) == pytest.approx(1, abs=1e-6)


def test_what_is_impossible_is_refused():
    for arguments, words in (
        (([1.0, -1.0], 0.5, "tanh", 0.1), "positive eigenvalues"),
        (([1.0], 0.0, "tanh", 0.1), "aspect_ratio = 0.0"),
        (([1.0], 0.5, "tanh", 0.1, "tilted"), "basis = 'tilted' is unknown"),
    ):
        with pytest.raises(ValueError, match=words):
            adam_alignment(*arguments)
