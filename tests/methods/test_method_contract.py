"""What every method of the configuration keeps, whatever its rule and its network."""

from itertools import product

import pandas as pd
import pytest
import torch

from helpers import (
    METRICS,
    RUN_COLUMNS,
    Stepper,
    Weights,
    assert_close,
    population,
    random_batch,
    random_weights,
    run,
    small_settings,
)
from layerwise.data.moments import Moments
from layerwise.planning.compose import options
from layerwise.tasks import loop
from textbook import Textbook, batch_loss, forwards

# These stay bounded at any step size: they orthonormalise the features and refit the head.
BOUNDED = {"amgd", "dfw"}
# What these methods make of their input is decided by rounding where it is singular. SOAP takes all
# eigenvectors of the gradients' Gram matrices, which have full rank if the layers are square; Newton
# solves with an indefinite matrix, which damping moves away from zero.
STEADY = {"soap": ("task.d_x=3", "task.d_y=3"), "newton": ("method.damping=[10.0]",)}

every_method = pytest.mark.parametrize("method", options("method"))


def settings_on_two_step_sizes(method):
    return small_settings(method, "method.lr=[0.05,0.2]").method


def grid_of(settings):
    """(damping, lr) of each variant, in order."""
    return list(product(settings.damping or [0.0], settings.lr))


@every_method
def test_steps_on_moments_are_the_textbooks_on_the_raw_batch(method):
    """Three steps equal the rule written out with autograd and dense algebra, run by run; features
    that are orthonormalised are compared with the head's map, up to the basis."""
    sizes = {"d_x": 3, "d_y": 3} if method == "soap" else {}
    of, settings = population(**sizes), settings_on_two_step_sizes(method)
    variants = grid_of(settings)
    start = weights = random_weights(of, len(variants))
    tested = Stepper(settings, of, weights)
    batches = [
        [random_batch(of, 20, seed=100 * t + 10 * b, mean=0.3) for b in range(2)] for t in range(3)
    ]
    for pair in batches:
        moments = [Moments.of_batch(*batch) for batch in pair]
        weights = tested.step(weights, moments[: tested.batches])
    for s, (v, (damping, lr)) in product(range(2), enumerate(variants)):
        forward = forwards(of.covariance_power(1.0)[s])[settings.network]
        textbook = Textbook(settings.rule, forward, lr, damping, **settings.options)
        G, F = start.features[s, v], start.head[s, v]
        for pair in batches:
            G, F = textbook.step(G, F, [(x[s], y[s]) for x, y in pair])
        actual_G, actual_F = weights.features[s, v], weights.head[s, v]
        assert_close(actual_F @ actual_G, F @ G, 1e-9)
        if method in BOUNDED:
            assert_close(actual_G.T @ actual_G, G.T @ G, 1e-9)
        else:
            assert_close(actual_G, G, 1e-9)
            assert_close(actual_F, F, 1e-9)


@every_method
def test_the_training_loss_is_that_of_the_raw_batch(method):
    of, settings = population(), settings_on_two_step_sizes(method)
    weights = random_weights(of, len(grid_of(settings)))
    x, y = random_batch(of, 20, seed=0, mean=0.3)
    losses = Stepper(settings, of, weights).loss(weights, Moments.of_batch(x, y))
    for s, v in product(range(2), range(len(grid_of(settings)))):
        forward = forwards(of.covariance_power(1.0)[s])[settings.network]
        expected = batch_loss(forward, weights.features[s, v], weights.head[s, v], x[s], y[s])
        assert_close(losses[s, v], expected)


@every_method
def test_a_step_changes_neither_its_weights_nor_its_batches(method):
    of, settings = population(), settings_on_two_step_sizes(method)
    weights = random_weights(of, len(grid_of(settings)))
    batches = [Moments.of_batch(*random_batch(of, 20, seed=seed)) for seed in (0, 50)]
    copies = [part.clone() for part in weights], [vars(batch).copy() for batch in batches]
    copies_of_moments = [{k: v.clone() for k, v in content.items()} for content in copies[1]]
    tested = Stepper(settings, of, weights)
    tested.step(weights, batches[: tested.batches])
    assert all(torch.equal(a, b) for a, b in zip(weights, copies[0], strict=True))
    for batch, copy in zip(batches, copies_of_moments, strict=True):
        assert all(torch.equal(getattr(batch, name), copy[name]) for name in copy)


@every_method
@pytest.mark.parametrize("broken", ["no features", "no head", "large"])
def test_a_broken_run_does_not_touch_its_neighbours(method, broken):
    """Whatever becomes of one run, singular or huge, the others stay the same to the last bit."""
    of, settings = population(), settings_on_two_step_sizes(method)
    start = random_weights(of, len(grid_of(settings)))
    features, head = (part.clone() for part in start)
    if broken == "large":
        features[0, 0] *= 1e5
        head[0, 0] *= 1e5
    else:
        {"no features": features, "no head": head}[broken][0, 0] = 0.0
    paths = []
    for weights in (start, Weights(features, head)):
        tested = Stepper(settings, of, weights)
        for t in range(3):
            batches = [Moments.of_batch(*random_batch(of, 20, seed=seed)) for seed in (t, t + 50)]
            stepped = tested.step(weights, batches[: tested.batches])
            # As the loop does, a run that cannot step stays where it is.
            stuck = ~torch.isfinite(stepped.features.sum((-2, -1)) + stepped.head.sum((-2, -1)))
            weights = Weights(
                *(
                    torch.where(stuck[..., None, None], old, new)
                    for old, new in zip(weights, stepped, strict=True)
                )
            )
        paths.append(weights)
    for before, after in zip(*paths, strict=True):
        same = (before == after).all(dim=-1).all(dim=-1).flatten()
        assert same[1:].all()


@every_method
def test_a_seeds_path_does_not_depend_on_its_neighbours(method):
    """Seed 1 alone gives the rows that it has among seeds 0, 1, 2, up to the rounding of batched
    products: 1e-10 at a stable step size (an unstable one amplifies rounding at every step)."""
    overrides = ("method.lr=[0.01,0.1]", *STEADY.get(method, ()))
    alone, among = run(method, "seeds=[1]", *overrides), run(method, "seeds=[0,1,2]", *overrides)
    among = among[among.seed == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, among, rtol=1e-10, atol=1e-13)


@every_method
def test_more_step_sizes_leave_the_others_results(method):
    """Other step sizes beside it change a run by no more than the rounding of batched products."""
    steady = STEADY.get(method, ())
    few = run(method, "method.lr=[0.1]", *steady)
    many = run(method, "method.lr=[0.01,0.1,0.2]", *steady)
    many = many[many.lr == 0.1].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, many, rtol=1e-10, atol=1e-13)


@every_method
def test_a_diverging_step_size_does_not_disturb_its_neighbour(method, monkeypatch):
    """Beside a step size that diverges and is carried along, another keeps every bit of its results."""
    monkeypatch.setattr(loop, "LOOK_EVERY", 1000)
    calm, wild = run(method, "method.lr=[0.1,0.2]"), run(method, "method.lr=[0.1,1e9]")
    bad = wild[wild.lr == 1e9]
    assert (bad.status == "diverged").any() == (method not in BOUNDED)
    pd.testing.assert_frame_equal(
        calm[calm.lr == 0.1].reset_index(drop=True),
        wild[wild.lr == 0.1].reset_index(drop=True),
        check_exact=True,
    )


@every_method
def test_a_table_tells_divergence_from_results(method):
    """Rows are ok with every metric, or diverged, from diverged_at on, with none."""
    table = run(method, "method.lr=[0.1,1e9]")
    assert list(table.columns) == RUN_COLUMNS
    assert set(table.method) == {method}
    ok = table.status == "ok"
    assert ok.any()
    assert table.loc[ok, METRICS].notna().all(axis=None)
    assert table.loc[~ok, METRICS].isna().all(axis=None)
    assert (ok == ~(table.step >= table.diverged_at).fillna(False)).all()
    sizes = table.groupby(["damping", "lr", "seed"]).size()
    assert (sizes == 11).all()


@every_method
def test_raw_batches_and_exact_draws_share_the_start(method):
    """Both engines start from the same weights; only the data differ."""
    exact, raw = run(method, "steps=0"), run(method, "steps=0", "engine=batches")
    assert exact.excess_loss.equals(raw.excess_loss)
    assert (exact.train_loss != raw.train_loss).all()


@every_method
def test_rademacher_inputs_train_on_raw_batches(method):
    """The rule takes the moments of any batch: the training loss falls in 10 steps."""
    table = run(method, "engine=batches", "task.inputs=rademacher", "method.lr=[0.1]")
    losses = table.groupby("step").excess_loss.median()
    assert losses.iloc[-1] < 0.8 * losses.iloc[0]
