"""The digits' splits, inputs and labelings."""

import numpy as np
import pytest
import torch

from helpers import assert_close, composed
from layerwise.data.digits import balanced_labelings, draw_split, images
from layerwise.settings import tasks
from layerwise.settings.tasks.digits import CLASSES, IMAGES, LABELINGS, PIXELS
from layerwise.settings.validation import ConfigError

DIGITS = "task=digits"
PIXEL = ("task.components=null", "task.kappa_x=1")


def covariance(split, n):
    return split.x[:n].mT @ split.x[:n] / n


def test_the_images_and_their_constant_pixels():
    pixels, classes = images()
    assert pixels.shape == (IMAGES, PIXELS) and set(classes) == set(range(CLASSES))
    assert np.flatnonzero(np.ptp(pixels, axis=0) == 0).tolist() == [0, 32, 39]
    moment = np.cov(pixels.T)
    kept = np.delete(np.delete(moment, [0, 32, 39], axis=0), [0, 32, 39], axis=1)
    assert np.linalg.cond(kept) == pytest.approx(434_000, rel=0.01)


def test_mixed_inputs_have_the_spectrum_that_is_asked_for():
    """On the training images exactly, in both bases, whatever the condition number."""
    for basis in ("rotated", "axis"):
        task = composed(DIGITS, "task.kappa_x=100", f"task.basis={basis}").task
        split = draw_split(task, 0)
        eye = torch.eye(40, dtype=torch.float64)
        assert_close(covariance(split, 1000), split.covariance.times_covariance_power(eye, 1.0))
        values = torch.linalg.eigvalsh(covariance(split, 1000))
        assert float(values[-1] / values[0]) == pytest.approx(100)
        assert float(values.mean()) == pytest.approx(1)
    # What is mixed is the same: whitened again, the inputs differ by a rotation.
    task = composed(DIGITS, "task.kappa_x=1").task
    grams = [
        one.x[:50] @ torch.linalg.inv(covariance(one, 1000)) @ one.x[:50].mT
        for one in (split, draw_split(task, 0))
    ]
    assert_close(*grams, 1e-8)


def test_pixels_are_centred_and_scaled_by_one_number_or_each_by_its_own():
    pixels, standardised = (
        draw_split(composed(DIGITS, *PIXEL, f"task.inputs={kind}").task, 0)
        for kind in ("pixels", "standardised")
    )
    for split in (pixels, standardised):
        assert float(split.x[:1000].mean(dim=0).abs().max()) < 1e-12
        assert not split.x[:, [0, 32, 39]].any()
    deviations = pixels.x[:1000].std(dim=0, correction=0)
    varying = deviations[deviations > 0]
    assert float(varying.square().mean()) == pytest.approx(1)
    own = standardised.x[:1000].std(dim=0, correction=0)
    assert_close(own[own > 0], torch.ones_like(own[own > 0]))
    assert_close(standardised.x * deviations, torch.where(deviations > 0, pixels.x, 0.0))
    # The whitening of what varies is the inverse root; what does not vary stays zero.
    white = pixels.covariance.times_covariance_power(pixels.x[:1000], -0.5)
    values = torch.linalg.eigvalsh(white.mT @ white / 1000)
    assert bool(((values - 1).abs() < 1e-6).logical_or(values.abs() < 1e-6).all())


def test_splits_have_each_image_once_and_a_few_of_each_class():
    task = composed(DIGITS, "task.kappa_x=1").task
    split, other = draw_split(task, 0), draw_split(task, 1)
    assert len(split.x) == IMAGES == len(split.x.unique(dim=0))
    shots = split.classes[1200:1250]
    assert torch.bincount(shots).tolist() == [5] * CLASSES
    assert task.n_test == 447 and not torch.equal(split.classes, other.classes)
    assert set(split.labels.unique().tolist()) == {-1.0, 1.0}


def test_labelings_are_balanced_and_differ_up_to_their_sign():
    every = balanced_labelings(LABELINGS, 0)
    assert every.shape == (CLASSES, LABELINGS) and not every.sum(axis=0).any()
    gram = np.abs(every.T @ every) / CLASSES
    assert np.isclose(gram, 1).sum() == LABELINGS
    assert not np.array_equal(balanced_labelings(8, 0), balanced_labelings(8, 1))
    assert np.array_equal(balanced_labelings(8, 0), every[:, :8])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("task.inputs=pixels", "task.kappa_x=1"), "components = 40 is not allowed"),
        (("task.inputs=pixels", "task.components=null"), "kappa_x = 100.0 is not allowed"),
        (("task.components=null",), "task.components = None is not allowed"),
        (("task.n_train=1440",), "7 of 1797 images left"),
    ],
)
def test_what_does_not_fit_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        composed(DIGITS, *changes)


def test_without_scikit_learn_one_sentence_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(tasks.digits, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed \(pip install scikit-learn\)"):
        composed(DIGITS)
