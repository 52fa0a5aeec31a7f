"""Statistics on named columns: known answers, infinities, and intervals that contain their estimates."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerwise.claims import choices, formulas, pairs, rates
from layerwise.claims.claim import NotMeasuredError, between
from layerwise.claims.interval import as_it_is, over_seeds, recentred, resamples

KAPPAS = (1.0, 10.0, 100.0, 316.0, 1000.0)


def power_law(slope: float, seeds: int = 9) -> pd.DataFrame:
    """Iterations 3 kappa^slope, times a seed's own factor."""
    factors = np.linspace(0.8, 1.3, seeds)[:, None]
    return pd.DataFrame(3 * factors * np.power(KAPPAS, slope), columns=list(KAPPAS))


# --- Rates ---------------------------------------------------------------------------------------


def test_exponent_of_a_power_law_over_the_top_decade():
    rows = power_law(0.7)
    rows[[1.0, 10.0]] = 50.0  # start-up, which does not count
    assert rates.exponent(100, 1000)(rows) == pytest.approx(0.7, abs=1e-12)
    shuffled = rows[[1000.0, 1.0, 316.0, 100.0, 10.0]]
    assert rates.exponent(100, 1000)(shuffled) == pytest.approx(0.7, abs=1e-12)


def test_censored_cells_are_never_dropped():
    rows = power_law(0.7)
    rows.loc[:4, 1000.0] = np.inf  # five of nine seeds
    assert rates.exponent(100, 1000)(rows) == np.inf
    rows.loc[4, 1000.0] = 1000.0  # four of nine
    assert np.isfinite(rates.exponent(100, 1000)(rows))
    rows[100.0] = np.inf
    assert np.isnan(rates.exponent(100, 1000)(rows))
    with pytest.raises(NotMeasuredError):
        rates.exponent(100, 10_000)(power_law(1))


def test_spread_and_relative_errors():
    rows = pd.DataFrame({1.0: [1.0, 2, 3], 10.0: [2.0, 2.1, 2.2]})
    assert rates.largest_over_smallest(rows) == pytest.approx(2.1 / 2)
    assert np.isnan(rates.largest_over_smallest(rows.assign(b=[np.inf] * 3)))
    assert rates.largest_relative_error(rows) == pytest.approx(1.1)


# --- Pairs ---------------------------------------------------------------------------------------


def test_paired_ratios_and_differences():
    rows = pd.DataFrame({"a": [2.0, 8.0], "b": [1.0, 1.0]})
    assert pairs.ratio("a", "b")(rows) == pytest.approx(4)
    assert pairs.ratio("b", "a")(rows) == pytest.approx(0.25)
    assert pairs.difference("a", "b")(rows) == 4
    assert pairs.mean("a")(rows) == 5
    # Pairing removes what a seed's data do to both.
    wild = np.exp(np.random.default_rng(0).standard_normal(50) * 3)
    estimate = over_seeds(lambda _: pd.DataFrame({"a": 2 * wild, "b": wild}), pairs.ratio("a", "b"))
    assert estimate({})[:4] == (pytest.approx(2), pytest.approx(2), pytest.approx(2), 50)


def test_ratios_of_runs_that_never_arrive():
    rows = pd.DataFrame({"a": [np.inf, 2.0], "b": [1.0, 1.0]})
    assert pairs.ratio("a", "b")(rows) == np.inf
    assert pairs.ratio("b", "a")(rows) == 0
    assert np.isnan(pairs.ratio("a", "b")(rows.assign(b=[np.inf, 1.0])))


def test_share_of_a_gap():
    rows = pd.DataFrame({"sgd": [0.4, 0.6], "kfac": [0.8, 1.0], "adam": [0.5, 0.7]})
    assert pairs.share_of_gap("adam")(rows) == pytest.approx(0.25)
    assert pairs.share_of_gap("kfac")(rows) == pytest.approx(1)
    assert np.isnan(pairs.share_of_gap("adam", "sgd", "sgd")(rows))


def test_equivalence():
    rng = np.random.default_rng(1)
    base = np.exp(rng.standard_normal(64))
    rows = pd.DataFrame({"g": base, "r": base * np.exp(0.02 + 0.1 * rng.standard_normal(64))})
    estimate = pairs.equivalence(rows, "r", "g")
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 0.1 / 8, rel=0.3)
    assert between(-0.1, 0.1).met_by(estimate.low, estimate.high)
    far = pairs.equivalence(rows.assign(r=1.3 * rows["r"]), "r", "g")
    assert not between(-0.1, 0.1).met_by(far.low, far.high)
    lost = pairs.equivalence(rows.assign(r=np.inf), "r", "g")
    assert not between(-0.1, 0.1).met_by(lost.low, lost.high)
    both = pd.concat({"sgd": rows, "adam": rows.assign(r=1.3 * rows["r"])}, axis=1)
    assert pairs.not_equivalent("r", "g")(both) == 1


# --- Formulas ------------------------------------------------------------------------------------


def errors(seed: int, bias: float = 0.0, seeds: int = 16, count: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    spread = 0.01 * np.geomspace(1, 10, count)
    noise = rng.standard_normal((seeds, count)) * spread
    noise[:, 0] += bias
    return pd.DataFrame(noise, columns=[f"setting {i}" for i in range(count)])


def test_a_formula_that_holds_is_rejected_as_often_as_it_should_be():
    values = np.array([formulas.p_value(errors(seed)) for seed in range(40)])
    assert np.mean(values < 0.05) < 0.15
    assert 0.3 < np.mean(values < 0.5) < 0.8


def test_a_formula_that_is_off_in_one_setting_is_rejected():
    assert formulas.p_value(errors(0, bias=0.05)) < 0.02
    assert np.isnan(formulas.p_value(errors(0).assign(x=np.nan)))


def test_root_mean_square_errors():
    rows = pd.DataFrame({"a": [0.1, 0.3], "b": [-0.1, 0.1]})
    assert formulas.rms_error(rows) == pytest.approx(0.2 / np.sqrt(2))
    sizes = pd.concat({150: rows, 600: rows / 2}, axis=1)
    assert formulas.fall_of_rms_error(150, 600)(sizes) == pytest.approx(0.1 / np.sqrt(2))


def test_settings_without_spread():
    same = np.full((4, 2), 0.0)
    assert formulas.studentised_maximum(same) == 0
    assert formulas.studentised_maximum(same + [0.0, 0.1]) == np.inf


# --- Choices -------------------------------------------------------------------------------------


def test_widths_count_from_where_the_curve_crosses():
    lrs = [0.01, 0.1, 1.0, 10.0]
    curve = pd.DataFrame([[1.0, 0.01, 0.01, 1.0]], columns=lrs)
    rows = pd.concat({"kfac": curve, "sgd": curve * [1, 10, 1, 1]}, axis=1)
    assert choices.width("kfac", 0.1)(rows) == pytest.approx(0.5 + 1 + 0.5)
    assert choices.difference_of_widths("kfac", "sgd", 0.1)(rows) == pytest.approx(0.5)
    rows[("kfac", 10.0)] = np.inf  # diverged: the stretch ends at the last good value
    assert choices.width("kfac", 0.1)(rows) == pytest.approx(1.5)
    assert choices.width("kfac", 1e-3)(rows) == 0


def test_shares_of_choices():
    table = pd.DataFrame(
        {
            "seed": [0, 0, 0, 0, 1, 1, 1, 1],
            "method": ["a", "a", "b", "b"] * 2,
            "lr": [0.1, 1.0] * 4,
            "end": [0.05, 0.2, 0.05, 0.01, 0.05, np.nan, 0.2, 0.01],
        }
    )
    shares = choices.shares_within(table, "end", 0.1)
    assert shares["a"].tolist() == [0.5, 0.5] and shares["b"].tolist() == [1.0, 0.5]
    assert pairs.difference("a", "b")(shares) == pytest.approx(-0.25)


def test_rank_correlation_over_the_methods_that_have_learnt():
    distances = pd.DataFrame([[0.1, 0.2, 0.3, 0.9]], columns=list("abcd"))
    losses = pd.DataFrame([[1.0, 2.0, 3.0, 0.5]], columns=list("abcd"))
    rows = pd.concat({"distance": distances, "loss": losses}, axis=1)
    statistic = choices.rank_correlation("distance", "loss", 0.5)
    assert statistic(rows) == pytest.approx(1)  # d has learnt nothing
    assert choices.rank_correlation("distance", "loss", 1.0)(rows) == pytest.approx(-0.2)
    assert np.isnan(choices.rank_correlation("distance", "loss", 0.25)(rows))


# --- Intervals -----------------------------------------------------------------------------------

seeds = st.integers(2, 20)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Positive numbers for a few seeds: heavy tails, ties and infinities among them."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = np.exp(draw(st.floats(0, 4)) * rng.standard_normal((draw(seeds), 6)))
    if draw(st.booleans()):
        values = np.round(values)
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.0, 0.3]))] = np.inf
    return pd.DataFrame(values)


def named(rows: pd.DataFrame, names: list) -> pd.DataFrame:
    return rows.set_axis(pd.Index(names) if isinstance(names[0], str | float) else
                         pd.MultiIndex.from_tuples(names), axis=1)  # fmt: skip


SIX = [100.0, 200.0, 300.0, 400.0, 500.0, 1000.0]
LETTERS = list("abcdef")
PAIRS = [(x, y) for x in "ab" for y in (0.1, 1.0, 10.0)]
STATISTICS = {
    "exponent": (rates.exponent(100, 1000), SIX),
    "largest_over_smallest": (rates.largest_over_smallest, SIX),
    "largest_relative_error": (rates.largest_relative_error, LETTERS),
    "ratio": (pairs.ratio("a", "b"), LETTERS),
    "difference": (pairs.difference("a", "b"), LETTERS),
    "mean": (pairs.mean("a"), LETTERS),
    "share_of_gap": (pairs.share_of_gap("a", "b", "c"), LETTERS),
    "rms_error": (formulas.rms_error, LETTERS),
    "fall_of_rms_error": (formulas.fall_of_rms_error("a", "b"), PAIRS),
    "width": (choices.width("a", 1.0), PAIRS),
    "difference_of_widths": (choices.difference_of_widths("a", "b", 1.0), PAIRS),
    "rank_correlation": (choices.rank_correlation("a", "b", np.inf), PAIRS),
    "studentised_maximum": (lambda rows: formulas.studentised_maximum(rows.to_numpy()), LETTERS),
}


@pytest.mark.parametrize("name", STATISTICS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=tables())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_interval_contains_its_estimate(name, rows):
    statistic, names = STATISTICS[name]
    rows = named(rows, names)
    value = statistic(rows)
    low, high = recentred(value, resamples(rows, statistic, 60))
    if np.isnan(value):
        assert np.isnan(low) and np.isnan(high)
    else:
        assert low <= value <= high


def test_where_the_percentile_interval_leaves_the_estimate_out():
    """The root mean square of errors that are noise: all resamples but a few are larger."""
    rows = errors(0, seeds=8, count=200)
    drawn = resamples(rows, formulas.rms_error)
    value = formulas.rms_error(rows)
    assert np.quantile(drawn, 0.025) > value
    low, high = recentred(value, drawn)
    assert low < value < high


def test_a_mean_has_its_percentile_interval():
    rows = pd.DataFrame({"a": np.random.default_rng(0).standard_normal(400)})
    estimate = over_seeds(lambda _: rows, pairs.mean("a"))({})
    error = rows["a"].std() / 20
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert (estimate.low + estimate.high) / 2 == pytest.approx(estimate.value, abs=0.3 * error)


def test_infinite_and_undefined_resamples():
    assert recentred(1.0, np.array([0.9, 1.0, np.inf] * 40)) == (pytest.approx(0.9), np.inf)
    assert recentred(np.inf, np.array([5.0] * 90 + [np.inf] * 10)) == (5.0, np.inf)
    assert recentred(1.0, np.array([1.0, np.nan] * 40)) == (-np.inf, np.inf)
    assert np.isnan(recentred(np.nan, np.ones(5))).all()


def test_a_p_value_has_no_interval():
    estimate = as_it_is(lambda _: errors(0), formulas.p_value)({})
    assert estimate.low == estimate.value == estimate.high and estimate.seeds == 16
