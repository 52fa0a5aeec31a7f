"""Values at step 300 that independent code has found: medians over 8 seeds at full dimensions.

d_x = 100, d_y = 15, k = 8, n = 1024, noise 0.1, rotated basis, kappa_x = 100 and kappa_f = 1 unless
stated. In single precision, whose draws are other ones of the same law.
"""

from functools import cache

import pytest

from helpers import settings_of_run
from layerwise.data.instances import draw
from layerwise.tasks.linear_representation import simulate

DEFAULTS = {
    "task.d_x": 100,
    "task.d_y": 15,
    "task.rank": 8,
    "task.batch_size": 1024,
    "task.noise": 0.1,
    "task.basis": "rotated",
    "task.kappa_x": 100,
    "task.kappa_f": 1,
    "task.spectrum": "log",
    "seeds": 8,
    "steps": 300,
    "record_every": 300,
    "dtype": "float32",
}


@cache
def last_rows(method, *changes):
    """The rows of step 300, one a seed and step size."""
    settings = settings_of_run(method, {**DEFAULTS, **dict(changes)})
    (table,) = simulate([settings], [draw(settings.task, settings.seeds)])
    return table[table.step == 300]


def medians(method, lr, **changes):
    rows = last_rows(
        method, ("method.lr", lr), *((f"task.{key}", value) for key, value in changes.items())
    )
    assert (rows.status == "ok").all()
    return rows[["subspace_distance", "excess_loss"]].median()


def test_sgd():
    result = medians("sgd", 0.1)
    assert result.subspace_distance == pytest.approx(0.19, rel=0.25)
    assert result.excess_loss == pytest.approx(3.5e-3, rel=0.25)


def test_sgd_diverges_at_three_times_the_step_size():
    """On these draws: of single precision's, one run stays."""
    rows = last_rows("sgd", ("method.lr", 0.3), ("dtype", "float64"))
    assert (rows.status == "diverged").all()


def test_sgd_is_fine_on_isotropic_data():
    assert medians("sgd", 0.1, kappa_x=1).subspace_distance == pytest.approx(0.013, rel=0.15)


def test_adam():
    assert medians("adam", 0.01).subspace_distance == pytest.approx(0.13, rel=0.2)


def test_kfac():
    result = medians("kfac", 0.1)
    assert result.subspace_distance == pytest.approx(0.021, rel=0.15)
    assert result.excess_loss == pytest.approx(2.6e-4, rel=0.1)


@pytest.mark.parametrize(("kappa_x", "kappa_f"), [(1, 1), (10, 1), (1000, 1), (100, 10)])
def test_kfacs_excess_loss_does_not_depend_on_the_conditioning(kappa_x, kappa_f):
    expected = medians("kfac", 0.1).excess_loss
    result = medians("kfac", 0.1, kappa_x=kappa_x, kappa_f=kappa_f)
    assert result.excess_loss == pytest.approx(expected, rel=0.1)


def test_input_batch_norm_helps_sgd_on_the_axes_alone():
    """A diagonal whitening sees an axis-aligned Sigma_x, and nothing of a rotated one."""
    distance = {
        (method, basis): medians(method, 0.1, **changes).subspace_distance
        for method in ("sgd", "bn_input_sgd")
        for basis, changes in (("axis", {"basis": "axis"}), ("rotated", {}))
    }
    assert distance["bn_input_sgd", "axis"] < 0.2 * distance["sgd", "axis"]
    assert distance["bn_input_sgd", "rotated"] > 0.7 * distance["sgd", "rotated"]
