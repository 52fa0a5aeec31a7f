"""The training loop: when it records, what it records, and what becomes of a diverged run."""

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import METRICS, run, small_settings
from layerwise.data.batches import RawBatches
from layerwise.data.instances import draw
from layerwise.data.population import populations
from layerwise.results.selection import chosen_runs, score_variants, select
from layerwise.results.summary import summarise
from layerwise.tasks.loop import WEIGHT_BOUND, record_steps
from textbook import forwards, gradients


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (0, 10, [0]),
        (0, "log", [0]),
        (1, "log", [0, 1]),
        (10, 4, [0, 4, 8, 10]),
        (4, 10, [0, 4]),
        (6, 1, [0, 1, 2, 3, 4, 5, 6]),
        (6, "log", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_recorded_steps(steps, every, expected):
    assert record_steps(steps, every) == expected


def test_log_steps_are_dense_and_then_five_percent_apart():
    steps = record_steps(2000, "log")
    assert steps[:15] == list(range(15))
    late = np.array([step for step in steps if step >= 100])
    ratios = late[1:] / late[:-1]
    assert (ratios > 1.035).all()
    assert (ratios < 1.065).all()


def test_recording_does_not_change_the_run():
    """The same values at shared steps, however often they are recorded."""
    often, seldom = run("adam", "record_every=1"), run("adam", "record_every=5")
    shared = often[often.step % 5 == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, seldom, check_exact=True)


def test_the_training_loss_is_on_the_coming_batch():
    """At step 0, half the mean squared error of the initial weights on the first raw batch."""
    settings = small_settings("sgd", "engine=batches", "steps=0")
    drawn = draw(settings.task, settings.seeds)
    of = populations(drawn, settings.task.noise, torch.float64, "cpu")[0]
    x, y = RawBatches(of, 64, settings.seeds, "batches").next_batch()
    G, F = torch.as_tensor(drawn.features_init), torch.as_tensor(drawn.head_init)
    losses = 0.5 * (y - x @ G.mT @ F.mT).square().sum(dim=2).mean(dim=1)
    table = run("sgd", "engine=batches", "steps=0", "method.lr=0.1")
    assert table.train_loss.to_numpy() == pytest.approx(losses.numpy(), rel=1e-12)


def first_step_past_the_bound(settings, seed_place, lr):
    """The step at which plain gradient descent on the run's raw batches leaves the bound."""
    drawn = draw(settings.task, settings.seeds)
    of = populations(drawn, settings.task.noise, torch.float64, "cpu")[0]
    batches = RawBatches(of, settings.task.batch_size, settings.seeds, "batches")
    G = torch.as_tensor(drawn.features_init[seed_place])
    F = torch.as_tensor(drawn.head_init[seed_place])
    plain = forwards(of.covariance_power(1.0)[seed_place])["plain"]
    for step in range(1, settings.steps + 1):
        x, y = (part[seed_place] for part in batches.next_batch())
        dG, dF = gradients(plain, G, F, x, y)
        G, F = G - lr * dG, F - lr * dF
        if not max(G.abs().max(), F.abs().max()) <= WEIGHT_BOUND:
            return step
    return None


def test_a_diverged_run_is_recorded_with_its_step():
    """status, diverged_at and NaN metrics start at the step that gradient descent, written out
    on the raw batches, leaves the bound; earlier rows are ok and complete."""
    overrides = ("engine=batches", "method.lr=[0.1,3]", "steps=20")
    table, settings = run("sgd", *overrides), small_settings("sgd", *overrides)
    for place, seed in enumerate(settings.seeds):
        assert first_step_past_the_bound(settings, place, 0.1) is None
        own = table[(table.lr == 3) & (table.seed == seed)]
        at = first_step_past_the_bound(settings, place, 3.0)
        assert 1 < at < 20
        assert (own.diverged_at == at).all()
        assert own.status.tolist() == ["ok"] * at + ["diverged"] * (21 - at)
        assert own[METRICS][own.step < at].notna().all(axis=None)
        assert own[METRICS][own.step >= at].isna().all(axis=None)
    good = table[table.lr == 0.1]
    assert good.diverged_at.isna().all()
    assert (good.status == "ok").all()


def test_divergence_between_two_records_names_its_step():
    """The recorded step is the one that was refused, also when it fell between two records."""
    each = run("sgd", "method.lr=[3]", "steps=20", "record_every=1")
    seldom = run("sgd", "method.lr=[3]", "steps=20", "record_every=20")
    expected = each.groupby("seed").diverged_at.first()
    assert seldom.groupby("seed").diverged_at.first().equals(expected)
    assert seldom.status.tolist() == ["ok", "diverged"] * 3


def test_single_precision_follows_double_precision():
    """On the same raw batches float32 is another rounding of a run, to 1e-4 at a stable step size."""
    raw = ("method.lr=0.1", "engine=batches")
    double, single = run("kfac", *raw), run("kfac", *raw, "dtype=float32")
    for name in ("train_loss", "excess_loss", "subspace_distance", "transfer_loss"):
        assert single[name].to_numpy() == pytest.approx(double[name].to_numpy(), rel=1e-4)
        assert not np.array_equal(single[name], double[name])


def test_stopping_early_keeps_the_selected_first_passages():
    """Training ends once a variant has held the distance with every seed; the selected variant's
    first passages are those of the full run."""
    chosen = []
    for stop in ("null", "0.3"):
        table = run(
            "kfac", "method.lr=[0.05,0.3]", "task.noise=0.01", "steps=60", f"stop_at={stop}"
        )
        summary = summarise(table.assign(problem="p"), 0.3)
        runs = chosen_runs(summary, select(score_variants(summary, "iterations")))
        chosen.append(runs[["lr", "seed", "iterations"]].to_numpy().tolist())
        last = table["step"].max()
        assert last == 60 if stop == "null" else last < 60
    assert chosen[0] == chosen[1]
