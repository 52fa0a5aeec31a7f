"""The step-size rule, first passages and bands, on tables small enough to check by eye."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from helpers import RUN_COLUMNS
from layerwise.results import summary
from layerwise.results.aggregate import aggregate
from layerwise.results.first_passage import first_passages
from layerwise.results.selection import (
    bands,
    decades_within,
    interpolated_quantile,
    score_variants,
    select,
)
from layerwise.results.summary import summarise
from layerwise.results.tables import read_table, write_table

STEPS = [0, 1, 2, 4]


@pytest.fixture(autouse=True)
def one_recorded_step_below_suffices(monkeypatch):
    """First passages are tested by themselves; these tables have four steps."""
    monkeypatch.setattr(summary, "first_passages", partial(first_passages, hold=1))


def runs(distances: dict[tuple[float, int], list[float]]) -> pd.DataFrame:
    """A run table from distances at STEPS by (lr, seed); NaN means diverged."""
    rows = []
    for (lr, seed), values in distances.items():
        for step, value in zip(STEPS, values, strict=True):
            row = dict.fromkeys(RUN_COLUMNS, 1.0) | {
                "method": "sgd",
                "lr": lr,
                "damping": 0.0,
                "seed": seed,
                "step": step,
                "subspace_distance": value,
                "outside_norm": value,
                "stage": "reporting",
                "status": "diverged" if np.isnan(value) else "ok",
            }
            rows.append(row)
    return pd.DataFrame(rows).assign(problem="p")


NAN = np.nan
TABLE = {
    (0.1, 0): [1, 0.8, 0.6, 0.4],
    (0.1, 1): [1, 0.8, 0.6, 0.3],
    (0.2, 0): [1, 0.5, 0.4, 0.35],
    (0.2, 1): [1, 0.9, 0.45, 0.36],
    (0.4, 0): [1, 0.1, 0.1, 0.1],
    (0.4, 1): [1, 0.1, NAN, NAN],
}


def test_first_passages_are_those_of_each_run():
    found = summarise(runs(TABLE), 0.5).set_index(["lr", "seed"])
    for (lr, seed), distances in TABLE.items():
        for name, target in (("iterations", 0.5), ("iterations_half", 0.25)):
            expected = first_passages([STEPS], [distances], target, hold=1)[0]
            assert found.loc[(lr, seed), name] == expected
    assert summarise(runs(TABLE), 0.01)["iterations"].eq(np.inf).all()
    assert "iterations" not in summarise(runs(TABLE), None)


@pytest.mark.parametrize(("select_by", "lr"), [("iterations", 0.2), ("subspace_distance", 0.1)])
def test_the_smallest_median_wins_unless_too_many_seeds_diverge(select_by, lr):
    """0.4 is best in either sense, but one of its seeds diverges."""
    chosen = select(score_variants(summarise(runs(TABLE), 0.5), select_by))
    assert chosen["lr"].tolist() == [lr]


def test_ties_go_to_the_smaller_final_distance():
    """Where none reaches the target, the closest wins."""
    chosen = select(score_variants(summarise(runs(TABLE), 0.01), "iterations"))
    assert chosen["lr"].tolist() == [0.1]
    assert np.isinf(chosen["score"].item())


def test_one_in_twenty_may_diverge_and_counts_as_infinite():
    """One of twenty seeds diverges: its choice is still the best; with two of twenty it is refused."""
    good = {(0.1, seed): [1, 0.8, 0.6, 0.4] for seed in range(20)}
    better = {(0.2, seed): [1, 0.5, 0.3, 0.2] for seed in range(20)}
    for lost, lr in ((1, 0.2), (2, 0.1)):
        table = good | better | {(0.2, seed): [1, 0.5, NAN, NAN] for seed in range(lost)}
        chosen = select(score_variants(summarise(runs(table), 0.5), "subspace_distance"))
        assert chosen["lr"].tolist() == [lr]


def test_choices_at_the_edge_of_the_grid_are_marked():
    inside = {key: value for key, value in TABLE.items() if key[0] < 0.4}
    scores = score_variants(summarise(runs(inside), 0.5), "iterations")
    assert select(scores)["lr_at_edge"].item()
    assert not select(score_variants(summarise(runs(TABLE), 0.5), "iterations"))[
        "lr_at_edge"
    ].item()
    single = {key: value for key, value in TABLE.items() if key[0] == 0.1}
    assert not select(score_variants(summarise(runs(single), 0.5), "iterations"))[
        "lr_at_edge"
    ].item()


@pytest.mark.parametrize(
    ("values", "scores", "at_edge"),
    [
        ([0.1, 1.0, 10.0], [1.0, 1.1, 1.2], True),
        ([0.1, 1.0, 10.0], [1.2, 1.1, 1.0], True),
        ([0.1, 1.0, 10.0], [1.1, 1.0, 1.1], False),
        ([0.1, 1.0, 10.0], [1.0, 1.009, 9.0], False),  # flat towards the end
        ([0.1, 1.0, 10.0], [9.0, 1.02, 1.0], True),
        ([0.1, 1.0], [np.inf, 1.0], True),
        ([0.0, 1.0, 10.0], [1.0, 1.1, 1.2], False),  # nothing lies beyond no damping
        ([0.0, 1.0, 10.0], [1.2, 1.1, 1.0], True),
        ([1.0], [1.0], False),
    ],
)
def test_an_end_of_the_dampings_is_an_edge_where_the_score_still_falls(values, scores, at_edge):
    own = {"problem": "p", "method": "kfac", "diverged_seeds": 0, "seeds": 8}
    tried = pd.DataFrame(
        [
            own | {"lr": 1.0, "damping": v, "score": s, "final": s}
            for v, s in zip(values, scores, strict=True)
        ]
        + [own | {"lr": 2.0, "damping": values[-1], "score": 99.0, "final": 99.0}]
    )
    assert select(tried)["damping_at_edge"].tolist() == [at_edge]


def test_bands_count_failures_as_infinite():
    table = pd.DataFrame({"method": "sgd", "value": [1.0, 2.0, np.inf, np.nan]})
    band = bands(table, ["method"], "value").iloc[0]
    assert band["low"] == 1.75 and np.isinf(band["median"]) and np.isinf(band["high"])


def test_other_metrics_select_by_their_last_value():
    """A table without subspace distances: the smallest median error, none where a seed diverged."""
    errors = {(0.1, 0): [1, 1, 1, 0.5], (0.2, 0): [1, 1, 1, 0.4], (0.4, 0): [1, 0.1, NAN, NAN]}
    table = runs(errors).rename(columns={"subspace_distance": "validation_error"})
    chosen = select(score_variants(summarise(table, None), "validation_error"))
    assert chosen["lr"].tolist() == [0.2] and chosen["final"].tolist() == [0.4]


def test_contraction_of_a_geometric_decay_is_its_factor():
    table = runs({(0.1, 0): [1, 0.7, 0.49, 0.7**4]})
    assert summarise(table, 0.5)["contraction"].item() == pytest.approx(0.7, rel=1e-12)


def test_runs_of_other_lengths_and_orders_do_not_disturb_a_summary():
    """Averages and contractions of each run among the others are those of it alone, by hand."""
    decays = {(0.1, 0): [1, 0.7, 0.49, 0.7**4], (0.2, 1): [2, 1, NAN, NAN], (0.3, 0): [0, 0, 0, 0]}
    short = runs({(0.4, 2): [1, 0.5, 0.3, 0.1]}).query("step < 3")
    table = pd.concat([runs(decays), short]).sample(frac=1, random_state=0)
    table = table.sort_values(
        "step", kind="stable", ignore_index=True
    )  # runs interleaved, each in its order
    found = summarise(table, 0.5).set_index(["lr", "seed"])
    expected = {
        (0.1, 0): ((0.85 + 0.595 + 0.49 + 0.7**4) / 4, 0.7),
        (0.2, 1): (NAN, 0.5),
        (0.3, 0): (0.0, NAN),
        (0.4, 2): ((0.75 + 0.4) / 2, 0.6),
    }
    for run, (mean, contraction) in expected.items():
        assert found.loc[run, "mean_subspace_distance"] == pytest.approx(mean, nan_ok=True)
        assert found.loc[run, "contraction"] == pytest.approx(contraction, nan_ok=True)


def test_aggregation_keeps_every_seeds_trace_of_the_selected(tmp_path):
    write_table(runs(TABLE).assign(regime="mild"), tmp_path / "sgd.parquet")
    warnings = aggregate([tmp_path / "sgd.parquet"], "subspace_distance", 0.5, tmp_path / "out")
    assert warnings == ["sgd on p: lr = 0.1 is at the edge of its grid"]
    traces = read_table(tmp_path / "out/traces.parquet")
    assert len(traces) == 2 * len(STEPS) and set(traces["lr"]) == {0.1}
    assert set(traces["regime"]) == {"mild"}


def test_tuning_seeds_select_and_reporting_seeds_are_reported(tmp_path):
    """The choice that is best on the tuning seeds is kept, though another is best on the others."""
    tuning = runs({(0.1, 0): [1, 0.8, 0.6, 0.4], (0.2, 0): [1, 0.8, 0.6, 0.5]})
    reporting = runs({(0.1, 7): [1, 0.8, 0.6, 0.55], (0.2, 7): [1, 0.8, 0.6, 0.1]})
    table = pd.concat([tuning.assign(stage="tuning"), reporting], ignore_index=True)
    write_table(table, tmp_path / "sgd.parquet")
    aggregate([tmp_path / "sgd.parquet"], "subspace_distance", 0.5, tmp_path / "out")
    names = ("summary", "scores", "selection", "traces")
    read = {name: read_table(tmp_path / f"out/{name}.parquet") for name in names}
    assert read["selection"]["lr"].tolist() == [0.1]
    assert set(read["scores"]["score"]) == {0.4, 0.5}
    assert set(read["summary"]["seed"]) == set(read["traces"]["seed"]) == {7}
    assert read["traces"]["subspace_distance"].tolist() == [1, 0.8, 0.6, 0.55]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """A table is written whole or not at all."""
    path = tmp_path / "table.parquet"
    write_table(pd.DataFrame({"a": [1]}), path)
    with pytest.raises(Exception, match="Conversion failed|Could not convert"):
        write_table(pd.DataFrame({"a": [1, "text", object()]}), path)
    assert read_table(path)["a"].tolist() == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]


def test_quantiles_are_interpolated_and_keep_infinities():
    values = np.array([4.0, 1.0, 2.0, 3.0])
    for q in (0.25, 0.5, 0.75, 1.0):
        assert interpolated_quantile(values, q) == pytest.approx(np.quantile(values, q))
    values = np.array([1.0, 2.0, np.nan, np.inf])
    assert interpolated_quantile(values, 0.25) == 1.75
    assert interpolated_quantile(values, 0.5) == np.inf  # between 2 and infinity
    assert interpolated_quantile(np.array([1.0, 2.0, np.inf]), 0.5) == 2.0


def test_quartiles_of_sixteen_seeds_are_no_order_statistics():
    table = pd.DataFrame({"method": "sgd", "x": np.arange(1.0, 17)})
    (row,) = bands(table, ["method"], "x").to_dict("records")
    assert row == {"method": "sgd", "low": 4.75, "median": 8.5, "high": 12.25}


def test_decades_within_a_bound():
    lrs = np.array([0.1, 1.0, 10.0, 100.0])
    assert decades_within(lrs, np.array([1.0, 0.01, 0.01, 1.0]), 0.1) == pytest.approx(2)
    assert decades_within(lrs, np.array([1.0, 0.01, 0.01, np.inf]), 0.1) == pytest.approx(1.5)
    assert decades_within(lrs, np.array([0.01, 1.0, 0.01, np.nan]), 0.1) == pytest.approx(1)
    assert decades_within(lrs, np.ones(4), 0.1) == 0
