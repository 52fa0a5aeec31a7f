"""Interpolated first passages, on curves that can be checked by eye."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerwise.results.first_passage import first_passage


def test_an_exponential_is_interpolated_exactly():
    """0.9^t is at 0.1 at a step that is no integer, however sparse the record is."""
    exact = np.log(0.1) / np.log(0.9)
    for spacing in (1, 3, 7):
        steps = np.arange(0, 100, spacing)
        assert first_passage(steps, 0.9**steps, 0.1) == pytest.approx(exact, rel=1e-12)


def test_a_dip_that_does_not_last_does_not_count():
    curve = np.array([1.0, 0.05, 1.0, 0.5, 0.05, 0.05, 0.05, 0.05, 0.05])
    crossing = first_passage(np.arange(9), curve, 0.1)
    assert 3 < crossing < 4
    assert 0 < first_passage(np.arange(9), curve, 0.1, hold=1) < 1


@pytest.mark.parametrize(
    "curve",
    [
        [1.0] * 9,  # never
        [1.0, 1, 1, 1, 1, 0.05, 0.05, 0.05, 0.05],  # recorded at the target four times only
        [1.0, 0.05, 0.05, 0.05, np.nan, np.nan, np.nan, np.nan, np.nan],  # diverged meanwhile
        [0.05] * 4,
        [],
    ],
)
def test_what_does_not_hold_is_censored(curve):
    assert first_passage(np.arange(len(curve)), curve, 0.1) == np.inf


def test_edges():
    assert first_passage(np.arange(3, 9), [0.05] * 6, 0.1) == 3  # below from the start
    assert first_passage(np.arange(6), [1.0] + [0.0] * 5, 0.1) == 1  # zero has no logarithm
    assert first_passage(np.arange(6), [1.0] + [0.1] * 5, 0.1) == 1  # at the target is enough


@given(
    st.lists(st.floats(1e-6, 10), min_size=5, max_size=40), st.floats(1e-3, 1), st.integers(1, 9)
)
def test_it_lies_between_the_steps_around_the_crossing(curve, target, spacing):
    steps = spacing * np.arange(len(curve))
    found = first_passage(steps, curve, target)
    below = np.array(curve) <= target
    starts = [i for i in range(len(curve) - 4) if below[i : i + 5].all()]
    if not starts:
        assert found == np.inf
    else:
        assert steps[max(starts[0] - 1, 0)] <= found <= steps[starts[0]]
