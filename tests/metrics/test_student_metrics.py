"""What is measured of students: subspaces by brute force, readouts by a direct ridge, known errors."""

from itertools import product

import pytest
import torch

from helpers import assert_close, composed, random
from layerwise.data.digits import draw_split
from layerwise.metrics import digits, heads, teacher_student
from layerwise.metrics.ridge import ridge_path, validated_ridge
from layerwise.networks.mlp import MLP
from students import SEEDS, small_batch, small_network, small_task, small_weights, teachers


def bench_of(name, task):
    network = small_network(name, task)
    return network, teacher_student.Bench(
        teacher_student.Samples(task, teachers(task), SEEDS), network
    )


@pytest.mark.parametrize("name", ["plain", "whitened", "bn_input"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_subspace_gap_is_that_of_autograds_outer_products(name, activation):
    """Gradients by x, sample by sample, in u = Sigma_x^(-1/2) x; a batch-norm's statistics stay fixed."""
    task = small_task(f"task.activation={activation}")
    network, bench = bench_of(name, task)
    weights = small_weights(task, 2)
    found = teacher_student.subspace_gap(network.view(weights, small_batch(task, 7)), bench)
    prepared = bench.sample("test").prepared
    for s, v in product(range(2), range(2)):
        layers, covariance = [layer[s, v] for layer in weights], bench.covariances[s]

        def f(x, layers=layers, inputs=prepared.inputs[s]):
            a = inputs.reaching(x[None])[0]
            for place, layer in enumerate(layers):
                a = layer[:, :-1] @ a + layer[:, -1]
                a = a if place == 2 else getattr(torch, activation)(a)
            return a

        total = torch.zeros(5, 5).double()
        for x in prepared_x(bench, task, s):
            J = covariance.times_covariance_power(torch.autograd.functional.jacobian(f, x), 0.5)
            total += J.mT @ J
        top = torch.linalg.eigh(total).eigenvectors[:, -2:]
        shared = (bench.subspaces[s] @ top).square().sum()
        assert float(found[s, v]) == pytest.approx(1 - float(shared) / 2, abs=1e-8)


def prepared_x(bench, task, s):
    """A seed's test inputs in the original coordinates."""
    stream = teacher_student.SampleStream(task, teachers(task)[s], "test", SEEDS[s])
    return stream.next(task.n_test).x


def test_a_student_that_is_the_teacher_has_no_error_and_no_gap():
    task = small_task("task.depth=1", "task.width=2", "task.n_transfer=200")
    network, bench = bench_of("plain", task)
    both = teachers(task)
    zeros = torch.zeros(2, 1, 2, 1).double()
    weights = (
        torch.cat([torch.stack([t.directions for t in both])[:, None], zeros], dim=-1),
        torch.cat([torch.stack([t.head for t in both])[:, None], zeros], dim=-1),
    )
    view = network.view(weights, small_batch(task, 7))
    for name in ("validation_error", "test_error", "subspace_gap"):
        assert float(teacher_student.METRICS[name](view, bench).abs().max()) < 1e-12
    for name in ("transfer_error", "transfer_error_isotropic"):  # of the noise in its labels alone
        assert float(teacher_student.METRICS[name](view, bench).max()) < 5e-3
    silent = (weights[0], torch.zeros_like(weights[1]))
    nothing = teacher_student.METRICS["test_error"](
        network.view(silent, small_batch(task, 7)), bench
    )
    clean = bench.sample("test").clean
    expected = clean.square().mean(dim=(-2, -1)) / clean.var(dim=-1, correction=0).mean(dim=-1)
    assert_close(nothing[:, 0], expected)


def test_beyond_the_precisions_range_an_error_is_infinite():
    clean = random(2, 3, 10, seed=0)
    prediction = clean[:, None].repeat(1, 2, 1, 1)
    prediction[1, 0, 0, 0] = torch.inf
    error = teacher_student.relative_error(prediction, clean)
    assert error.tolist() == [[0, 0], [torch.inf, 0]]


def test_ridge_readouts_are_those_of_each_run(monkeypatch):
    """At one strength each output's own ridge; of several strengths, the best one's."""
    fit, choice = random(2, 3, 7, 40, seed=0) + 0.5, random(2, 3, 7, 30, seed=1) + 0.5
    targets, held_out = random(2, 1, 2, 40, seed=2), random(2, 1, 2, 30, seed=3)
    monkeypatch.setattr(heads, "STRENGTHS", (0.1,))
    found = heads.ridge_readout(fit, targets, choice, held_out)
    for s, v, q in product(range(2), range(3), range(2)):
        path = ridge_path(fit[s, v].mT, targets[s, 0, q], [0.1])
        assert_close(found[s, v, q, :-1], path.weights[:, 0])
        assert_close(found[s, v, q, -1], path.intercept[0])
    monkeypatch.undo()
    found = heads.ridge_readout(fit, targets[:, :, :1], choice, held_out[:, :, :1])
    for s, v in product(range(2), range(3)):
        own = validated_ridge(fit[s, v].mT, targets[s, 0, 0], choice[s, v].mT, held_out[s, 0, 0])
        predicted = heads.predicted(found, choice)[s, v, 0]
        assert_close(predicted, own.predict(choice[s, v].mT), 1e-8)


def test_a_run_whose_features_are_lost_is_lost_alone():
    fit, choice = random(1, 2, 4, 20, seed=0), random(1, 2, 4, 10, seed=1)
    fit[0, 0, 1, 3] = torch.inf
    readout = heads.ridge_readout(
        fit, random(1, 1, 1, 20, seed=2), choice, random(1, 1, 1, 10, seed=3)
    )
    assert readout.isfinite().all(dim=-1).flatten().tolist() == [False, True]


def test_digits_errors_are_shares_of_wrong_labels():
    """Of a linear map of the inputs: counted image by image; a ridge readout of what the inputs are."""
    task = composed("task=digits", "task.kappa_x=1", "task.width=40", "task.activation=linear").task
    splits = [draw_split(task, seed) for seed in (0, 1)]
    network = MLP("plain", task, [split.covariance for split in splits])
    bench = digits.Bench(task, splits, network)
    eye = torch.cat([torch.eye(40), torch.zeros(40, 1)], dim=1).double().expand(2, 1, -1, -1)
    head = random(2, 1, 8, 41, seed=0)
    view = network.on(bench.prepared, (eye, head))
    assert_close(digits.METRICS["train_loss"](view, bench), view.loss)
    wrong = digits.METRICS["test_error"](view, bench)
    for s, split in enumerate(splits):
        x = split.x[-447:]
        signs = (x @ head[s, 0, :, :-1].mT + head[s, 0, :, -1]).sign()
        assert float(wrong[s, 0]) == pytest.approx(
            float((signs != split.labels[-447:]).double().mean())
        )
    # Features that are the inputs transfer as the inputs do, better than chance by far.
    transferred = digits.METRICS["transfer_error"](view, bench)
    assert_close(transferred, digits.METRICS["transfer_error_inputs"](view, bench))
    assert 0.05 < float(transferred.max()) < 0.5
