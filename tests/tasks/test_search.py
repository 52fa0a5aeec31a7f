"""The two passes over step sizes and dampings: what they find and try, and that a run makes them."""

import itertools
from collections.abc import Callable
from math import inf, log

import pytest

from helpers import small_settings
from layerwise.planning.plan import plan_all
from layerwise.settings import search
from layerwise.settings.memory import runs
from layerwise.settings.search import BUDGET, WHOLE, coarse, most_tried, refined
from layerwise.tasks.run import run_table


def grid(size: int) -> list[float]:
    return [10 ** (place / 8) for place in range(size)]


def found(
    score: Callable[[float, float], float],
    lrs: list[float],
    fixed: list[float],
    dampings: list[float],
) -> tuple[float, float, int]:
    """The best of both passes, and how many choices they tried."""
    first = coarse(lrs, fixed, dampings)
    tried = list(itertools.product(first[0], first[1] or [0.0]))
    best = min(tried, key=lambda choice: score(*choice))
    for some in refined(*best, lrs, dampings, first):
        tried += itertools.product(some[0], some[1] or [0.0])
    assert len(set(tried)) == len(tried) and {lr for lr, _ in tried} <= set(lrs)
    assert {damping for _, damping in tried} <= set(dampings or [0.0])
    return *min(tried, key=lambda choice: score(*choice)), len(tried)


@pytest.mark.parametrize("size", range(1, 31))
def test_with_one_minimum_both_passes_end_where_trying_all_would(size: int) -> None:
    lrs = grid(size)
    some = [[], [lrs[0]], [lrs[-1]], [lrs[size // 2]]]
    for best, fixed, dampings in itertools.product(lrs, some, ([], [0.1, 1.0])):
        where, _, tried = found(lambda lr, _, best=best: abs(log(lr / best)), lrs, fixed, dampings)
        assert where == best
        assert tried <= most_tried(lrs, fixed, dampings) <= size * max(len(dampings), 1)


@pytest.mark.parametrize("size", range(2, 12))
def test_a_damping_that_is_best_with_every_step_size_is_found_too(size: int) -> None:
    for (lr, damping), lrs in itertools.product(
        itertools.product(grid(9), grid(size)), (grid(9), grid(9)[::-1])
    ):

        def away(a: float, b: float, lr: float = lr, damping: float = damping) -> float:
            return abs(log(a / lr)) + 2 * abs(log(b / damping))

        *where, tried = found(away, lrs, [], grid(size))
        assert where == [lr, damping]
        assert tried <= most_tried(lrs, [], grid(size)) < 9 * size


def test_beyond_the_largest_stable_step_size_everything_diverges() -> None:
    """The score falls to a cliff, past which it is infinite."""
    lrs = grid(24)
    for last in lrs:
        where = found(lambda lr, _, last=last: -lr if lr <= last else inf, lrs, [], [])[0]
        assert where == last


def test_a_long_grid_is_tried_in_part_and_a_short_one_whole() -> None:
    assert most_tried(grid(24), []) == most_tried(grid(24), [], [0.1]) == 8 + 4
    assert most_tried(grid(24), [grid(24)[8]]) == 9 + 4
    assert most_tried(grid(8), [], [0.0, 0.1, 1.0]) == 4 * 3 + 2
    assert most_tried(grid(8), [], grid(8)) == 4 * 4 + 8
    for size in range(1, WHOLE):
        assert coarse(grid(size)) == (grid(size), [])
        assert most_tried(grid(size), [], [0.1, 1.0]) == 2 * size
    for size in range(1, 9):
        lrs, dampings = coarse(grid(9), [], grid(size))
        assert dampings == grid(size) if 4 * size + 2 <= BUDGET else grid(size)[1::2]
        assert lrs == grid(9)[1 :: 2 if size > 1 else 3]
    assert most_tried([], [], [0.1, 1.0]) == 2


def test_no_method_of_the_experiments_tries_more_than_24_choices() -> None:
    for planned in plan_all(None, "paper").values():
        for cell in planned.cells:
            method = cell.settings.method
            if cell.settings.tune_seeds is not None:
                assert most_tried(method.lr, method.fixed_lr, method.damping) <= 24, method.name


def test_an_unordered_grid_is_searched_in_its_order_of_size() -> None:
    lrs = grid(9)
    assert coarse(lrs[::-1], [], lrs[::-1]) == coarse(lrs, [], lrs)
    for some in (lrs, lrs[::-1]):
        ((around, none),) = refined(lrs[4], 0.0, some, [], coarse(some))
        assert (around, none) == ([lrs[place] for place in (2, 3, 5, 6)], [])


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
    monkeypatch.setattr(search, "_most_tried", search._most_tried.__wrapped__)
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
