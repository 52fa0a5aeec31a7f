"""The two passes over step sizes: what they find, how much they try, and that a run makes them."""

import itertools

import pytest

from helpers import small_settings
from layerwise.planning.plan import plan_all
from layerwise.settings import search
from layerwise.settings.memory import runs
from layerwise.settings.search import WHOLE, around, coarse, most_tried
from layerwise.tasks.run import run_table


def grid(size: int) -> list[float]:
    return [10 ** (place / 8) for place in range(size)]


def found(
    scores: dict[float, float], fixed: list[float], dampings: list[float]
) -> tuple[float, int]:
    """The best of both passes, and how many step sizes they tried."""
    lrs = list(scores)
    first = coarse(lrs, fixed, dampings)
    tried = [*first, *around(min(first, key=scores.__getitem__), lrs, first)]
    assert len(set(tried)) == len(tried) and set(tried) <= set(lrs)
    return min(tried, key=scores.__getitem__), len(tried)


@pytest.mark.parametrize("size", range(1, 31))
def test_with_one_minimum_both_passes_end_where_trying_all_would(size: int) -> None:
    lrs = grid(size)
    some = [[], [lrs[0]], [lrs[-1]], [lrs[size // 2]]]
    for best, fixed, dampings in itertools.product(range(size), some, ([], [0.1, 1.0])):
        scores = {lr: float(abs(place - best)) for place, lr in enumerate(lrs)}
        where, tried = found(scores, fixed, dampings)
        assert where == lrs[best]
        assert tried <= size
        assert most_tried(lrs, fixed, dampings) <= size * max(len(dampings), 1)


def test_beyond_the_largest_stable_step_size_everything_diverges() -> None:
    """The score falls to a cliff, past which it is infinite."""
    lrs = grid(24)
    for cliff in range(1, 25):
        scores = {lr: -lr if place < cliff else float("inf") for place, lr in enumerate(lrs)}
        assert found(scores, [], [])[0] == lrs[cliff - 1]


def test_a_long_grid_is_tried_in_part_and_a_short_one_whole() -> None:
    assert most_tried(grid(24), []) == most_tried(grid(24), [], [0.1]) == 8 + 4
    assert most_tried(grid(24), [grid(24)[8]]) == 9 + 4
    assert most_tried(grid(8), [], [0.0, 0.1, 1.0]) == 4 * 3 + 2
    for size in range(1, WHOLE):
        assert coarse(grid(size)) == grid(size)
        assert most_tried(grid(size), [], [0.1, 1.0]) == 2 * size
    assert most_tried([], [], [0.1, 1.0]) == 2


def test_no_method_of_the_experiments_tries_more_than_24_choices() -> None:
    for planned in plan_all(None, "paper").values():
        for cell in planned.cells:
            method = cell.settings.method
            if cell.settings.tune_seeds is not None:
                assert most_tried(method.lr, method.fixed_lr, method.damping) <= 24, method.name


def test_an_unordered_grid_is_searched_in_its_order_of_size() -> None:
    lrs = grid(9)
    assert coarse(lrs[::-1]) == coarse(lrs)
    assert around(lrs[4], lrs[::-1], coarse(lrs)) == [lrs[place] for place in (2, 3, 5, 6)]


def test_a_run_tries_both_passes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried whole, the same grid gives the same choice and the same reported rows."""
    lrs = ", ".join(f"{lr:g}" for lr in [0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.9, 1.2, 1.8])
    settings = small_settings(
        "kfac",
        f"method.lr=[{lrs}]",
        "method.damping=[0.0,0.1]",
        "seeds=[4,5]",
        "tune_seeds=[0,1]",
        "select_by=subspace_distance",
    )
    most = most_tried(settings.method.lr, [], settings.method.damping)
    short, counted = run_table(settings), runs(settings)
    monkeypatch.setattr(search, "WHOLE", 100)
    whole = run_table(settings)
    assert (counted, runs(settings)) == (2 * most + 2, 2 * 18 + 2)
    tuned = short[short["stage"] == "tuning"]
    assert len(tuned.groupby(["damping", "lr"])) <= most < 18
    dampings = tuned.groupby("lr")["damping"].nunique()
    assert len(dampings[dampings == 2]) == 4  # of nine every second
    reported = [
        table[table["stage"] == "reporting"].reset_index(drop=True) for table in (short, whole)
    ]
    assert reported[0].equals(reported[1])
