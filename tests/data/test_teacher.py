"""The teacher's laws, its streams, and the fixed sample of a student."""

import math
from itertools import pairwise

import pytest
import torch

from helpers import assert_close
from layerwise.data.students import FixedBatches, Order, start_weights
from layerwise.data.teacher import SampleStream, draw_teacher, link_variance, training_batches
from students import SEEDS, small_task, teachers

EYE = torch.eye(5, dtype=torch.float64)


def whitened_rows(teacher):
    return teacher.covariance.times_covariance_power(teacher.directions, 0.5)


def test_after_whitening_the_teacher_is_the_same_at_every_condition_number():
    """Orthonormal directions in u = Sigma_x^(-1/2) x, which do not depend on kappa_x, nor do the heads."""
    each = [draw_teacher(small_task(f"task.kappa_x={kappa}"), 3) for kappa in (1, 10, 1000)]
    for teacher in each:
        rows = whitened_rows(teacher)
        assert_close(rows @ rows.mT, EYE[:2, :2])
        assert_close(teacher.subspace.mT @ teacher.subspace, rows.mT @ rows)
    for one, other in pairwise(each):
        assert_close(whitened_rows(one), whitened_rows(other))
        assert torch.equal(one.head, other.head) and torch.equal(one.new_head, other.new_head)


def test_before_whitening_directions_are_isotropic_and_their_indices_standard():
    task = small_task("task.directions=raw", "task.kappa_x=1000")
    teacher = draw_teacher(task, 3)
    unit = teacher.directions / teacher.directions.norm(dim=1, keepdim=True)
    assert_close(unit @ unit.mT, EYE[:2, :2])
    assert_close(whitened_rows(teacher).norm(dim=1), torch.ones(2).double())
    assert_close(teacher.subspace @ teacher.subspace.mT, EYE[:2, :2])
    # At kappa_x = 1 both laws are one.
    plain = draw_teacher(small_task("task.directions=raw", "task.kappa_x=1"), 3)
    assert_close(plain.directions, draw_teacher(small_task("task.kappa_x=1"), 3).directions)


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize("new", [False, True])
def test_outputs_have_unit_variance_and_noise_its_own(new, isotropic):
    task = small_task("task.noise=0.5")
    teacher = draw_teacher(task, 0)
    sample = SampleStream(task, teacher, "any", 0).next(20_000, new, isotropic)
    assert float(sample.clean.var(dim=0).mean()) == pytest.approx(1, rel=0.05)
    assert float((sample.labels - sample.clean).std()) == pytest.approx(0.5, rel=0.02)
    covariance = EYE if isotropic else teacher.covariance.times_covariance_power(EYE, 1.0)
    assert_close(sample.x.mT @ sample.x / 20_000, covariance, 0.05)
    # The outputs are functions of the directions alone.
    outside = torch.linalg.svd(teacher.directions).Vh[2:]
    again = SampleStream(task, teacher, "any", 0)
    moved = sample.x + outside[0]
    index = moved @ teacher.directions.mT
    if isotropic:
        index = index / teacher.directions.norm(dim=1)
    head = teacher.new_head if new else teacher.head
    assert_close(again.next(20_000, new, isotropic).clean, torch.relu(index) @ head.mT)


def test_the_links_variance():
    assert link_variance("linear") == pytest.approx(1, abs=1e-12)
    assert link_variance("relu") == pytest.approx(0.5 - 1 / (2 * math.pi), rel=2e-3)


def test_fewer_samples_are_the_first_of_more():
    task = small_task()
    teacher = draw_teacher(task, 0)
    few, more = (SampleStream(task, teacher, "any", 0).next(n) for n in (3, 8))
    for part, whole in zip(few, more, strict=True):
        assert torch.equal(part, whole[:3])


def test_a_fixed_sample_is_gone_through_before_it_is_repeated():
    order = Order(8, 0)
    taken = [place for _ in range(6) for place in order.next(4)]
    for start in (0, 8, 16):
        assert sorted(taken[start : start + 8]) == list(range(8))
    task = small_task("task.n_train=48")
    fixed = training_batches(task, teachers(task), SEEDS)
    assert isinstance(fixed, FixedBatches)
    epochs = [torch.cat([fixed.next().x, fixed.next().x], dim=1) for _ in range(2)]
    for s in range(2):
        first, second = (epoch[s][epoch[s][:, 0].argsort()] for epoch in epochs)
        assert torch.equal(first, second) and len(first.unique(dim=0)) == 48
    fresh = training_batches(small_task(), teachers(task), SEEDS)
    assert not torch.equal(fresh.next().x, fresh.next().x)


def test_initial_weights():
    """He's scale before a relu, that of linear layers else, and biases of zero."""
    task = small_task("task.width=300", "task.depth=2")
    layers = start_weights(task, 200, 100, 0, torch.float64, "cpu")
    assert [tuple(layer.shape) for layer in layers] == [(300, 201), (300, 301), (100, 301)]
    for layer, variance in zip(layers, (2 / 200, 2 / 300, 1 / 300), strict=True):
        assert float(layer[:, :-1].var()) == pytest.approx(variance, rel=0.05)
        assert not layer[:, -1].any()
