"""One-step alignment (arXiv 2502.01763, Theorem 3.9): limits, random matrices, and simulation."""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf

from layerwise.data.covariance import haar, spectrum
from layerwise.theory.alignment import METHODS, optimal_damping, predicted_alignment
from layerwise.theory.fixed_point import effective_ridge
from layerwise.theory.linear_part import linear_part
from layerwise.theory.links import NAMES as LINKS
from layerwise.theory.links import named

DIMENSION = 300
SEEDS = 20
NOISE = 0.3
KINDS = ("log", "two_level", "power_law")
POSITIVE = ("tanh", "relu", "erf", "linear")  # links with c > 0 whatever the variance


class Setting(NamedTuple):
    kind: str
    kappa: float
    aspect_ratio: float
    damping: float
    link: str

    @property
    def spectrum(self) -> np.ndarray:
        return spectrum(self.kind, DIMENSION, self.kappa)


# A steeper power law leaves a few directions with most of the power, and no cosine self-averages.
GRID = [
    (kind, kappa / 3 if kind == "power_law" else kappa, gamma, damping)
    for kind, kappa, gamma, damping in product(KINDS, (10, 100), (0.3, 2.0), (0.0, 0.1, 1.0))
]
SETTINGS = [Setting(*cell, list(LINKS)[i % len(LINKS)]) for i, cell in enumerate(GRID)]

Predict = Callable[[str, np.ndarray, float, str, float, float], float]


# --- Theory against simulation -------------------------------------------------------------------


@cache
def simulated(setting: Setting) -> dict[str, np.ndarray]:
    """Cosines of X^T y / n and (Sigma_hat + lambda I)^-1 X^T y / n with beta, one for each seed.

    Gaussian inputs and beta look the same in every basis, so that Sigma is diagonal here. With
    fewer samples than dimensions the inverse is taken in sample space, where lambda = 0 is the
    minimum-norm solution.
    """
    d, n = DIMENSION, round(DIMENSION / setting.aspect_ratio)
    cosines: dict[str, list[float]] = {method: [] for method in METHODS}
    # Settings that differ in damping and link alone see the same inputs, each 20 independent ones.
    shared = next(
        place
        for place, other in enumerate(SETTINGS)
        if other[:3] == (setting.kind, setting.kappa, setting.aspect_ratio)
    )
    for seed in range(SEEDS):
        x, gram = sample(seed, shared)
        rng = np.random.default_rng([seed, SETTINGS.index(setting), 1])
        beta = rng.standard_normal(d) / np.sqrt(d)
        y = named(setting.link)(x @ beta) + NOISE * rng.standard_normal(n)
        sgd = x.T @ y / n
        damped = gram + setting.damping * np.eye(len(gram))
        kfac = np.linalg.solve(damped, sgd) if n > d else x.T @ np.linalg.solve(damped, y) / n
        for method, direction in (("sgd", sgd), ("kfac", kfac)):
            length = np.linalg.norm(direction) * np.linalg.norm(beta)
            cosines[method].append(direction @ beta / length)
    return {method: np.array(values) for method, values in cosines.items()}


@lru_cache(maxsize=SEEDS)  # settings that share them follow one another
def sample(seed: int, place: int) -> tuple[np.ndarray, np.ndarray]:
    """A seed's inputs for settings like that of a place, and X^T X / n or, of fewer samples, X X^T / n."""
    setting = SETTINGS[place]
    d, n = DIMENSION, round(DIMENSION / setting.aspect_ratio)
    rng = np.random.default_rng([seed, place])
    x = rng.standard_normal((n, d)) * np.sqrt(setting.spectrum)
    return x, (x.T @ x if n > d else x @ x.T) / n


def disagreements(predict: Predict) -> list[tuple[Setting, str, float, float]]:
    """Where the simulated mean is further from the prediction than chance and size explain.

    Allowed are three standard errors and m2 / d, under 0.01 here: at finite size the variance of
    beta^T x fluctuates about m1 by sqrt(2 m2 / d) of itself, and the mean of a smooth function of
    it shifts by about half the square of that.
    """
    found = []
    for setting, method in product(SETTINGS, METHODS):
        values = simulated(setting)[method]
        damping = setting.damping if method == "kfac" else 0.0
        gamma = DIMENSION / round(DIMENSION / setting.aspect_ratio)
        theory = predict(method, setting.spectrum, gamma, setting.link, NOISE, damping)
        error = values.std(ddof=1) / np.sqrt(values.size)
        size = np.mean(setting.spectrum**2) / DIMENSION
        assert size < 0.01
        if abs(values.mean() - theory) > 3 * error + size:
            found.append((setting, method, values.mean() - theory, error))
    return found


def literal(
    method: str, s: np.ndarray, gamma: float, link: str, noise: float, lam: float, broken: str = ""
) -> float:
    """The theorem as printed, in v, m and m', with nothing rearranged; ``broken`` spoils a part."""
    c, rest = linear_part(link, s.mean())
    m1, m2 = s.mean(), np.mean(s**2)
    tau2 = 0.0 if broken == "without tau" else rest + noise**2
    if broken == "m2 is m1 squared":
        m2 = m1**2
    g = 1.0 if broken == "without gamma" else gamma
    if method == "sgd":
        return c * m1 / np.sqrt(c**2 * m2 + g * m1 * (c**2 * m1 + tau2))
    lam = max(lam, 1e-5)  # as printed it has no value at 0
    v = brentq(lambda v: 1 / v - lam - gamma * np.mean(s / (1 + s * v)), 1e-9, 1 / lam, xtol=1e-15)
    dv = 1 / (gamma * np.mean(s**2 / (1 + s * v) ** 2) - 1 / v**2)
    m = (v - (1 - gamma) / lam) / gamma
    derivative = -(dv + (1 - gamma) / lam**2) / gamma
    if broken == "derivative is m squared":
        derivative = m**2
    signal = c**2 * (1 - 2 * lam * m + lam**2 * derivative)
    return c * (1 - lam * m) / np.sqrt(signal + tau2 * g * (m - lam * derivative))


def test_theory_agrees_with_simulation():
    assert len(SETTINGS) >= 24
    assert disagreements(predicted_alignment) == []


@pytest.mark.parametrize(
    "broken", ["without tau", "m2 is m1 squared", "derivative is m squared", "without gamma"]
)
def test_a_wrong_formula_disagrees_with_simulation(broken):
    assert disagreements(lambda *arguments: literal(*arguments, broken=broken))


def test_the_comparison_passes_the_formula_as_printed():
    assert disagreements(literal) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gamma", [0.05, 0.9, 1.0, 3.0])
@pytest.mark.parametrize("damping", [0.01, 1.0, 10.0])
def test_rearranged_formula_equals_the_printed_one(kind, gamma, damping):
    s = 2.5 * spectrum(kind, 50, 100)
    ours = predicted_alignment("kfac", s, gamma, "tanh", NOISE, damping)
    np.testing.assert_allclose(ours, literal("kfac", s, gamma, "tanh", NOISE, damping), rtol=1e-8)


# --- The fixed point -----------------------------------------------------------------------------


@cache
def wishart_eigenvalues(kind: str, d: int, n: int) -> np.ndarray:
    """Those of X^T X / n in a rotated basis, which are the same at every damping."""
    rng = np.random.default_rng(d + n)
    root = haar(rng, d, d) * np.sqrt(spectrum(kind, d, 30))
    x = rng.standard_normal((n, d)) @ root.T
    return np.linalg.eigvalsh(x.T @ x / n).clip(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d, n", [(400, 800), (400, 400), (800, 400)])
@pytest.mark.parametrize("damping", [0.05, 0.5, 5.0])
def test_resolvent_traces_of_a_wishart_matrix(kind, d, n, damping):
    s = spectrum(kind, d, 30)
    eigenvalues = wishart_eigenvalues(kind, d, n)
    m = np.mean(1 / (eigenvalues + damping))
    derivative = np.mean(1 / (eigenvalues + damping) ** 2)

    gamma = d / n
    ridge = effective_ridge(s, np.array(gamma), np.array(damping))
    kept = ridge.first / ridge.scale
    spread = ridge.spread / ridge.scale**2
    slope = ridge.ratio + gamma * ridge.kappa * spread
    ours = (1 - kept) / damping
    ours_derivative = (ours - spread / slope) / damping
    # Linear statistics of the eigenvalues fluctuate by O(1), so that these means do by O(1/d).
    np.testing.assert_allclose(ours, m, rtol=4 / d)
    np.testing.assert_allclose(ours_derivative, derivative, rtol=8 / d)
    np.testing.assert_allclose(ours, (1 / ridge.kappa - (1 - gamma) / damping) / gamma, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kappa", [1.0, 1e3, 1e6])
def test_fixed_point_residual_over_the_whole_range(kind, kappa):
    s = spectrum(kind, 100, kappa)
    gamma, damping = np.meshgrid(
        [0.01, 0.5, 0.999999, 1.0, 1.000001, 1.5, 2.0, 10.0, 100.0],
        [0.0, 1e-15, 1e-9, 1e-4, 0.1, 10.0, 1e3],
        indexing="ij",
    )
    ridge = effective_ridge(s, gamma, damping)
    ridgeless = (damping == 0) & (gamma <= 1)
    assert (ridge.kappa[ridgeless] == 0).all()
    np.testing.assert_array_equal(ridge.ratio[ridgeless], 1 - gamma[ridgeless])
    v = 1 / ridge.kappa[~ridgeless]
    right = gamma[~ridgeless] * np.mean(s / (1 + s * v[:, None]), axis=-1) + damping[~ridgeless]
    np.testing.assert_allclose(right * v, 1, rtol=1e-12)
    assert (np.diff(ridge.kappa, axis=1) >= -1e-13 * ridge.kappa[:, 1:]).all()


@pytest.mark.parametrize("gamma", [0.01, 0.5, 0.999999, 1.0, 1.000001, 1.5, 2.0, 100.0])
@pytest.mark.parametrize("kappa", [1.0, 1e6])
def test_fixed_point_in_sixty_digits(gamma, kappa):
    # Near gamma = 1 a small residual does not mean a good root.
    s = spectrum("log", 6, kappa)
    eigenvalues = [Decimal(float(value)) for value in s]

    def mean(values):
        return sum(values) / len(eigenvalues)

    with localcontext(prec=60):
        for damping in (1e-15, 1e-12, 1e-6, 1e-3, 1.0, 1e3):
            ours = effective_ridge(s, np.array(gamma), np.array(damping)).kappa
            g, lam, root = Decimal(gamma), Decimal(damping), Decimal(float(ours))
            for _ in range(8):
                value = root - g * mean(a * root / (a + root) for a in eigenvalues) - lam
                slope = 1 - g * mean((a / (a + root)) ** 2 for a in eigenvalues)
                root -= value / slope
            np.testing.assert_allclose(float(ours), float(root), rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.1, 0.9, 1.1, 2.0, 50.0])
@pytest.mark.parametrize("kind", KINDS)
def test_zero_damping_is_the_limit_of_small_damping(kind, gamma):
    s = spectrum(kind, 60, 1e3)
    limit = predicted_alignment("kfac", s, gamma, "tanh", NOISE)
    for damping in (1e-300, 1e-12):
        close = predicted_alignment("kfac", s, gamma, "tanh", NOISE, damping)
        np.testing.assert_allclose(close, limit, rtol=1e-7)


def test_undamped_at_aspect_ratio_one():
    s = spectrum("log", 60, 10)
    assert predicted_alignment("kfac", s, 1.0, "tanh", NOISE) == 0
    assert predicted_alignment("kfac", s, 1.0, "tanh", NOISE, 1e-14) < 1e-2
    assert predicted_alignment("kfac", s, 1.0, "linear", 0.0) == 1
    np.testing.assert_allclose(
        predicted_alignment("kfac", s, 1.0, "linear", 0.0, 1e-14), 1, atol=1e-6
    )


def test_ridgeless_without_noise_is_a_random_projection():
    gamma = np.array([0.2, 0.8, 1.5, 4.0])
    for kind in KINDS:
        cosine = predicted_alignment("kfac", spectrum(kind, 60, 100), gamma, "linear", 0.0)
        np.testing.assert_allclose(cosine, np.minimum(1, gamma**-0.5), rtol=1e-12)


# --- Limits and invariances ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("link", LINKS)
def test_with_many_samples_sgd_is_biased_and_kfac_is_not(kind, link):
    s = spectrum(kind, 100, 100)
    sgd = predicted_alignment("sgd", s, 1e-12, link, NOISE)
    np.testing.assert_allclose(sgd, s.mean() / np.sqrt(np.mean(s**2)), rtol=1e-9)
    assert sgd < 0.95
    np.testing.assert_allclose(predicted_alignment("kfac", s, 1e-12, link, NOISE), 1, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0])
def test_with_large_damping_kfac_is_sgd(kind, scale):
    s = scale * spectrum(kind, 100, 100)
    gamma = np.array([0.1, 1.0, 5.0])
    sgd = predicted_alignment("sgd", s, gamma, "tanh", NOISE)
    for damping in (1e9 * scale, 1e200 * scale):
        kfac = predicted_alignment("kfac", s, gamma, "tanh", NOISE, damping)
        np.testing.assert_allclose(kfac, sgd, rtol=1e-6)


spectra = st.lists(st.floats(-3, 3), min_size=1, max_size=12).map(lambda x: 10.0 ** np.array(x))
aspect_ratios = st.floats(-2, 2).map(lambda x: 10.0**x)
dampings = st.one_of(st.just(0.0), st.floats(-9, 3).map(lambda x: 10.0**x))


@given(spectra, aspect_ratios, dampings, st.floats(0, 3), st.floats(-4, 4))
def test_scale_of_the_inputs_does_not_matter(s, gamma, damping, noise, log_scale):
    scale = 10.0**log_scale

    def shrunk(u):
        return np.tanh(u / np.sqrt(scale))

    for method, lam in (("sgd", 0.0), ("kfac", damping)):
        base = predicted_alignment(method, s, gamma, "tanh", noise, lam)
        scaled = predicted_alignment(method, scale * s, gamma, shrunk, noise, scale * lam)
        np.testing.assert_allclose(scaled, base, rtol=1e-8, atol=1e-8 * (gamma == 1))


@given(spectra, aspect_ratios, dampings, st.floats(-4, 4), st.floats(0, 3))
def test_scale_of_the_labels_does_not_matter(s, gamma, damping, log_amplitude, noise):
    amplitude = 10.0**log_amplitude

    def loud(u):
        return amplitude * u

    for method, lam in (("sgd", 0.0), ("kfac", damping)):
        quiet = predicted_alignment(method, s, gamma, "linear", 0.0, lam)
        np.testing.assert_allclose(
            predicted_alignment(method, s, gamma, loud, 0.0, lam), quiet, rtol=1e-9
        )
        np.testing.assert_allclose(
            predicted_alignment(method, s, gamma, loud, amplitude * noise, lam),
            predicted_alignment(method, s, gamma, "linear", noise, lam),
            rtol=1e-9,
        )
        opposite = predicted_alignment(method, s, gamma, lambda u: -u, 0.0, lam)
        np.testing.assert_allclose(opposite, -quiet, rtol=1e-9)


@given(
    st.sampled_from(METHODS), spectra, aspect_ratios, dampings, st.sampled_from(POSITIVE),
    st.floats(0, 10), st.floats(0.01, 10),
)  # fmt: skip
def test_cosines_are_positive_at_most_one_and_fall_with_noise(
    method, s, gamma, damping, link, noise, more
):
    lam = damping if method == "kfac" else 0.0
    if gamma == 1 and lam == 0:
        gamma = 0.5
    quiet = predicted_alignment(method, s, gamma, link, noise, lam)
    loud = predicted_alignment(method, s, gamma, link, noise + more, lam)
    assert isinstance(quiet, float)
    assert 0 < loud <= quiet <= 1


def test_grids_broadcast():
    s = spectrum("log", 20, 10)
    gamma, damping = np.array([[0.1], [1.0], [3.0]]), np.array([0.0, 0.1, 1.0, 10.0])
    grid = predicted_alignment("kfac", s, gamma, "tanh", NOISE, damping)
    assert grid.shape == (3, 4)
    for i, j in np.ndindex(3, 4):
        one = predicted_alignment("kfac", s, gamma[i, 0], "tanh", NOISE, damping[j])
        np.testing.assert_allclose(grid[i, j], one, rtol=1e-12)
    assert predicted_alignment("sgd", s, gamma, "tanh", NOISE).shape == (3, 1)
    assert predicted_alignment("kfac", s, np.array([]), "tanh", NOISE).shape == (0,)


# --- The best damping ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("link", LINKS)
def test_best_damping_is_where_a_search_finds_it(kind, link):
    s = 0.7 * spectrum(kind, 80, 100)
    gammas = np.array([0.1, 1.0, 4.0])
    best = optimal_damping(s, gammas, link, NOISE)
    for gamma, damping, alignment in zip(gammas, *best, strict=True):

        def cosine(log_damping, gamma=gamma):
            return predicted_alignment("kfac", s, gamma, link, NOISE, 10.0**log_damping)

        found = minimize_scalar(
            lambda x: -abs(cosine(x)), bounds=(-6, 6), method="bounded", options={"xatol": 1e-9}
        )
        np.testing.assert_allclose(10.0**found.x, damping, rtol=1e-3)
        np.testing.assert_allclose(abs(alignment), -found.fun, rtol=1e-9)
        ridge = effective_ridge(s / s.mean(), np.array(gamma), np.array(damping / s.mean()))
        np.testing.assert_allclose(alignment**2, ridge.first / ridge.scale, rtol=1e-12)


def test_best_damping_depends_on_the_spectrum_by_its_mean_alone():
    found = [optimal_damping(spectrum(kind, 80, 100), 0.5, "tanh", NOISE) for kind in KINDS]
    part = linear_part("tanh", 1.0)
    expected = 0.5 * (part.rest + NOISE**2) / part.slope**2
    np.testing.assert_allclose([best.damping for best in found], expected, rtol=1e-12)
    assert isinstance(found[0].damping, float) and isinstance(found[0].alignment, float)
    np.testing.assert_array_equal(optimal_damping([1.0, 2.0], [0.5, 3.0], "linear", 0.0).damping, 0)


# --- Links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", [0.01, 0.5, 1.0, 30.0])
def test_linear_parts_in_closed_form(variance):
    x = 2 * variance / (1 + 2 * variance)
    expected = {
        "linear": (1.0, 0.0),
        "relu": (0.5, variance / 4),  # E[relu^2] = variance / 2
        "erf": (2 / np.sqrt(np.pi * (1 + 2 * variance)), 2 / np.pi * (np.arcsin(x) - x)),
        "he1_plus_he3": (3 * variance - 2, 6 * variance**3),
    }
    for link, (slope, rest) in expected.items():
        part = linear_part(link, variance)
        np.testing.assert_allclose(part.slope, slope, rtol=1e-12, err_msg=link)
        np.testing.assert_allclose(part.rest, rest, rtol=1e-10, err_msg=link)


@pytest.mark.parametrize("variance", [0.01, 1.0, 30.0])
def test_linear_part_of_tanh_by_trapezoid(variance):
    z = np.linspace(-12, 12, 200_001)
    weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (24 / 200_000)
    value = np.tanh(np.sqrt(variance) * z)
    slope = (weight * value * z).sum() / np.sqrt(variance)
    part = linear_part("tanh", variance)
    np.testing.assert_allclose(part.slope, slope, rtol=1e-12)
    power = (weight * value**2).sum()
    np.testing.assert_allclose(part.slope**2 * variance + part.rest, power, rtol=1e-12)


def test_callables_with_kinks_and_jumps():
    assert linear_part(erf, 2.0) == pytest.approx(linear_part("erf", 2.0), rel=1e-12)
    np.testing.assert_allclose(linear_part(np.sign, 4.0).slope, math.sqrt(2 / np.pi) / 2)
    # By parts, E[max(u - b, 0) u] = P(u > b) and E[1{u > b} u] = density(b).
    b = 0.377
    above = (1 - erf(b / math.sqrt(2))) / 2
    hinge = linear_part(lambda u: np.maximum(u - b, 0), 1.0)
    np.testing.assert_allclose(hinge.slope, above, rtol=1e-12)
    jump = linear_part(lambda u: (u > b).astype(float), 1.0)
    density = np.exp(-(b**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(jump, (density, above - density**2), rtol=1e-11)


# --- Refusals ------------------------------------------------------------------------------------

GOOD = {"method": "kfac", "spectrum": [1.0, 2.0], "aspect_ratio": 0.5, "link": "tanh", "noise": 0.1}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"aspect_ratio": 0.0}, "aspect_ratio = 0.0 is impossible"),
        ({"aspect_ratio": [1.0, -1.0]}, "aspect_ratio = -1.0 is impossible"),
        ({"aspect_ratio": math.nan}, "aspect_ratio = nan is impossible"),
        ({"damping": -1e-9}, "damping = -1e-09 is impossible"),
        ({"damping": math.inf}, "damping = inf is impossible"),
        ({"noise": -0.1}, "noise = -0.1 is impossible"),
        ({"noise": math.nan}, "noise = nan is impossible"),
        ({"spectrum": []}, "spectrum of shape"),
        ({"spectrum": [[1.0]]}, "spectrum of shape"),
        ({"spectrum": [1.0, 0.0]}, "spectrum = 0.0 is impossible"),
        ({"spectrum": [1.0, -2.0]}, "spectrum = -2.0 is impossible"),
        ({"link": "tahn"}, "did you mean 'tanh'"),
        ({"link": "he3"}, "did you mean 'he1_plus_he3'"),
        ({"method": "adam"}, "method = 'adam' is unknown: allowed are sgd, kfac"),
        ({"method": "sgd", "damping": 0.1}, "damping = 0.1 is impossible: it must be 0 for sgd"),
        ({"aspect_ratio": [1.0, 2.0], "damping": [0.0, 1.0, 2.0]}, "does not broadcast"),
        ({"link": np.cos}, "one step cannot find the direction"),
        ({"link": lambda u: 0 * u}, "one step cannot find the direction"),
        ({"link": "he1_plus_he3", "spectrum": [2 / 3]}, "one step cannot find the direction"),
        ({"link": lambda u: 1.0}, "one finite number for each element"),
        ({"link": lambda u: u + math.nan}, "one finite number for each element"),
        ({"link": lambda u: u * np.exp(u**2 / 4), "spectrum": [1.0]}, "grows too fast"),
        ({"link": lambda u: np.sin(1e9 * u)}, "did not converge"),
    ],
)
def test_refusals_say_why(change, message):
    with pytest.raises(ValueError, match=message) as refusal:
        predicted_alignment(**{**GOOD, **change})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("change", [{"noise": -1.0}, {"aspect_ratio": 0.0}, {"link": np.cos}])
def test_best_damping_refuses_the_same(change):
    arguments = {key: value for key, value in GOOD.items() if key != "method"}
    with pytest.raises(ValueError):
        optimal_damping(**{**arguments, **change})
