"""Margins: where a claim lies against its bounds, of one side or two, and what is said of it."""

import math

import pytest

from layerwise.page.forest import strip
from layerwise.page.margins import FAR, Part, Side, place

NAN = math.nan


def part(low: float, value: float, high: float, **bounds: float) -> Part:
    known = {"lower": NAN, "upper": NAN, "weaker_lower": NAN, "weaker_upper": NAN} | bounds
    row = {"quantity": "q", "value": value, "low": low, "high": high, "seeds": 5, **known}
    return Part.of(row)


@pytest.mark.parametrize(
    "bounds, value, margin",
    [
        ({"lower": 0.5, "weaker_lower": 0.25}, 0.5, 0),
        ({"lower": 0.5, "weaker_lower": 0.25}, 0.25, -1),
        ({"upper": 0.25, "weaker_upper": 0.5}, 0.125, 0.5),
        ({"upper": 1e-6, "weaker_upper": 1e-3}, 1e-9, 1),  # logarithmic: a thousandfold
        ({"lower": 1.0, "weaker_lower": 0.0, "upper": 2.0, "weaker_upper": 3.0}, 1.75, 0.25),
        ({"lower": 1.0, "weaker_lower": 0.0, "upper": 2.0, "weaker_upper": 3.0}, 2.5, -0.5),
        ({"upper": 1.0, "weaker_upper": 2.0}, math.inf, -math.inf),
        ({"lower": 1.0, "weaker_lower": 0.5}, math.inf, math.inf),
        ({"lower": 2.0}, 3.0, 0.5),  # without a weaker bound the unit is the bound
    ],
)
def test_margins(bounds: dict[str, float], value: float, margin: float) -> None:
    assert part(value, value, value, **bounds).margin(value) == pytest.approx(margin)


def test_an_interval_across_two_bounds_has_its_best_inside() -> None:
    both = part(0.5, 1.5, 2.5, lower=1.0, weaker_lower=0.0, upper=2.0, weaker_upper=3.0)
    assert both.margins == pytest.approx((0.5, -0.5, 0.5))
    assert "at least 1" in both.why and "at most 2" in both.why


def test_places_are_ordered_and_bounded() -> None:
    places = [place(margin) for margin in (-math.inf, -FAR, -1, 0, 1, FAR, math.inf)]
    assert places == sorted(places) and places[0] == places[1] == 0 and places[-1] == 100
    assert place(0) == 50


def test_what_is_undefined_is_said_at_the_bad_end_and_has_no_dot() -> None:
    undefined = part(NAN, NAN, NAN, lower=1.0, weaker_lower=0.5)
    assert undefined.undefined and "meets no bound" in undefined.why
    picture = strip([undefined], ["not reproduced"])
    assert "undefined" in picture and "<circle" not in picture and 'x="1%"' in picture


def test_several_parts_stand_under_each_other() -> None:
    parts = [part(0.4, 0.5, 0.6, lower=0.3, weaker_lower=0.1) for _ in range(3)]
    picture = strip(parts, ["reproduced", "partly", "not reproduced"])
    heights = [f'cy="{height}%"' for height in ("16.667", "50.000", "83.333")]
    assert all(height in picture for height in heights)
    assert all(f'<g class="{tone}">' in picture for tone in ("ok", "mid", "no"))


def test_a_part_without_a_weaker_bound_is_met_by_any_value() -> None:
    open_below = part(-0.1, 0.2, 0.3, lower=0.0)
    assert "weaker bound, any value" in open_below.why
    assert open_below.sides[0].short == "≥ 0 (weaker any)"


def test_a_side_in_words() -> None:
    assert str(Side(-1, 1e-6, 1e-3)) == "at most 1·10⁻⁶"
