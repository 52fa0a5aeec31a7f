"""Single-index data: its laws, its streams, and what is refused."""

import math

import pytest
import torch

from helpers import SINGLE_INDEX, assert_close, random, single_index_task
from layerwise.data.single_index import Batches, draw_fresh, draw_instance, draw_sample
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.settings.validation import ConfigError, validate
from layerwise.theory.links import NAMES as LINKS

TASK = single_index_task()


def test_sizes():
    assert TASK.n == 40
    instance = draw_instance(TASK, 3)
    assert instance.features.shape == (9, 12) and instance.readout.shape == (9,)
    assert instance.eigenvectors.shape == (12, 12) and instance.direction.shape == (12,)
    assert draw_instance(single_index_task(basis="axis"), 3).eigenvectors is None


def test_laws():
    """Second moments of inputs, truth, weights and noise, within about five standard errors."""
    task = single_index_task(d=200, width=150, readout_scale=0.2)
    instance = draw_instance(task, 0)
    assert float(instance.eigenvalues.sum()) == pytest.approx(200)
    assert float(instance.eigenvalues.max() / instance.eigenvalues.min()) == pytest.approx(10)
    assert float(instance.direction.square().sum()) == pytest.approx(1, abs=0.5)
    assert float(instance.features.square().sum()) == pytest.approx(150, rel=0.05)
    assert float(instance.readout.square().sum()) == pytest.approx(0.04, rel=0.6)
    sample = draw_sample(task, instance, "step", 4000, 0)
    x = instance.from_eigenbasis(sample.inputs)
    covariance = instance.times_covariance_power(torch.eye(200, dtype=torch.float64), 1.0)
    error = torch.linalg.matrix_norm(x.mT @ x / 4000 - covariance)
    assert float(error) == pytest.approx(200 / math.sqrt(4000), rel=0.1)  # tr Sigma / sqrt(n)
    noise = sample.labels - sample.clean
    assert float(noise.std()) == pytest.approx(0.3, rel=0.06)


@pytest.mark.parametrize("link", LINKS)
def test_labels_are_the_links(link):
    task = single_index_task(link=link, noise=0.0)
    instance = draw_instance(task, 1)
    sample = draw_sample(task, instance, "step", 20, 1)
    index = instance.from_eigenbasis(sample.inputs) @ instance.direction
    expected = {
        "tanh": torch.tanh(index),
        "relu": torch.relu(index),
        "relu_centred": torch.relu(index) - 1 / math.sqrt(2 * math.pi),
        "erf": torch.erf(index),
        "linear": index,
        "he1_plus_he3": index**3 - 2 * index,
    }
    assert_close(sample.clean, expected[link], 1e-12)
    assert torch.equal(sample.labels, sample.clean)


def test_fresh_samples_are_for_the_refit_the_choice_and_the_test():
    """As many as the settings say, of streams of their own; those held out serve the choice first."""
    instance = draw_instance(TASK, 4)
    fit, held_out, test = draw_fresh(TASK, instance, 4)
    assert [len(sample.labels) for sample in (fit, held_out, test)] == [40, 15 + 16, 50]
    for sample, purpose in ((fit, "refit"), (held_out, "validation"), (test, "test")):
        expected = draw_sample(TASK, instance, purpose, len(sample.labels), 4)
        assert all(map(torch.equal, sample, expected))


def test_whitening_and_bases():
    instance = draw_instance(TASK, 2)
    rows = random(4, 12, seed=0)
    assert_close(instance.from_eigenbasis(instance.to_eigenbasis(rows)), rows)
    half = instance.times_covariance_power(rows, -0.5)
    assert_close(
        instance.times_covariance_power(half, -0.5), instance.times_covariance_power(rows, -1.0)
    )


def test_streams_do_not_depend_on_sizes_or_scales():
    """Fewer samples are the first of more; a readout's scale and the noise move nothing else."""
    changed = single_index_task(readout_scale=0.1, noise=0.6, link="erf")
    instance, other = draw_instance(TASK, 5), draw_instance(changed, 5)
    for a, b in zip(instance[:4], other[:4], strict=True):
        assert torch.equal(a, b)
    assert_close(other.readout, 0.1 * instance.readout, 1e-15)
    few, many = (draw_sample(TASK, instance, "step", n, 5) for n in (10, 30))
    assert torch.equal(few.inputs, many.inputs[:10])
    assert not torch.equal(few.inputs, draw_sample(TASK, instance, "test", 10, 5).inputs)
    assert not torch.equal(few.inputs, draw_sample(TASK, instance, "step", 10, 6).inputs)
    louder = draw_sample(changed, other, "step", 10, 5)
    assert_close(louder.labels - louder.clean, 2 * (few.labels - few.clean), 1e-12)


def test_fresh_batches_go_on_in_the_stream_and_fixed_ones_do_not():
    """The first batch is that of the stream "step"; the noise is a stream of its own."""
    instances = [draw_instance(TASK, seed) for seed in (3, 1)]
    fresh, fixed = (
        Batches(single_index_task(samples=samples), instances, (3, 1))
        for samples in ("fresh", "fixed")
    )
    both = draw_sample(TASK, instances[1], "step", 2 * TASK.n, 1)
    first, second = fresh.next(), fresh.next()
    assert_close(first.x[1], instances[1].from_eigenbasis(both.inputs[: TASK.n]), 1e-13)
    assert_close(second.x[1], instances[1].from_eigenbasis(both.inputs[TASK.n :]), 1e-13)
    for batch in (fixed.next(), fixed.next()):
        assert torch.equal(batch.x, first.x)
        assert torch.equal(batch.y, first.y)
    assert torch.equal(first.y[1], both.labels[: TASK.n])
    noise = second.y[1] - both.clean[TASK.n :]
    assert_close(noise, (both.labels - both.clean)[TASK.n :], 1e-12)


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aspect_ratio": 0.0}, "aspect_ratio = 0.0 is not allowed: allowed is greater than 0"),
        ({"aspect_ratio": -1.0}, "aspect_ratio = -1.0 is not allowed: allowed is greater than 0"),
        ({"aspect_ratio": math.nan}, "aspect_ratio = nan is not allowed"),
        ({"aspect_ratio": 100.0}, "aspect_ratio = 100.0 is not allowed: at most d/2 = 6"),
        ({"d": 0}, "d = 0 is not allowed"),
        (
            {"d": 1, "aspect_ratio": 0.1},
            "d = 1 is not allowed: allowed is greater than or equal to 2",
        ),
        ({"width": 0}, "width = 0 is not allowed"),
        ({"kappa_x": 0.5}, "kappa_x = 0.5 is not allowed: allowed is greater than or equal to 1"),
        ({"noise": -0.1}, "noise = -0.1 is not allowed"),
        ({"readout_scale": 0.0}, "readout_scale = 0.0 is not allowed: allowed is greater than 0"),
        ({"n_choice": 1}, "n_choice = 1 is not allowed: allowed is greater than or equal to 2"),
        ({"n_validation": 1}, "n_validation = 1 is not allowed"),
        ({"n_test": 0}, "n_test = 0 is not allowed"),
        (
            {"spectrum": "powerlaw"},
            "spectrum = 'powerlaw' is not allowed.*did you mean 'power_law'",
        ),
        ({"basis": "axes"}, "did you mean 'axis'"),
        ({"link": "tahn"}, "did you mean 'tanh'"),
        ({"activation": "reul"}, "did you mean 'relu'"),
        ({"samples": "fix"}, "did you mean 'fixed'"),
        ({"layers": "frist"}, "did you mean 'first'"),
        ({"lr_unit": "preactivation"}, "did you mean 'preactivations'"),
    ],
)
def test_refusals_say_why(change, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        validate(SingleIndexTask, {**SINGLE_INDEX, **change}, "task")
    assert str(refusal.value).startswith("task.")
    assert "\n" not in str(refusal.value)
