"""Problem instances: what they satisfy, what they depend on, and their files."""

from dataclasses import fields

import numpy as np
import pytest

from helpers import problem
from layerwise.data.instances import Instances, draw, key, load, save

NAMES = [field.name for field in fields(Instances)]


def assert_bitwise(a, b, names=NAMES):
    for name in names:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes()


def test_true_features_have_orthonormal_rows_and_bases_are_orthonormal():
    drawn = draw(problem(), [0, 1])
    rows = drawn.features_true @ drawn.features_true.transpose(0, 2, 1)
    assert np.abs(rows - np.eye(3)).max() < 1e-13
    for vectors in (drawn.eigenvectors, drawn.eigenvectors_transfer):
        assert np.abs(vectors @ vectors.transpose(0, 2, 1) - np.eye(6)).max() < 1e-13


def test_initial_weights_have_the_stated_variances():
    """G_0 ~ N(0, 1/d_x) and F_0 ~ N(0, 1/k), within 5 standard errors."""
    drawn = draw(problem(), range(400))
    for weights, variance in ((drawn.features_init, 1 / 6), (drawn.head_init, 1 / 3)):
        assert abs(weights.mean()) < 5 * np.sqrt(variance / weights.size)
        assert abs(weights.var() / variance - 1) < 5 * np.sqrt(2 / weights.size)


def test_a_seeds_instance_does_not_depend_on_the_others():
    alone, among = draw(problem(), [5]), draw(problem(), [2, 5, 9])
    for name in NAMES:
        own = getattr(among, name)
        own = own if name.startswith("eigenvalues") else own[1:2]
        assert np.array_equal(getattr(alone, name), own)


def test_seeds_differ_and_so_do_the_two_tasks_heads():
    drawn = draw(problem(), [0, 1])
    for name in NAMES:
        if not name.startswith("eigenvalues"):
            first, second = getattr(drawn, name)
            assert (first != second).all()
    assert (drawn.head_true != drawn.head_transfer).all()


def test_condition_numbers_change_only_what_they_name():
    """Problems of a grid share features, bases, and initial weights: comparisons are paired."""
    base, other = draw(problem(), [0]), draw(problem(kappa_x=50.0, kappa_f=9.0), [0])
    changed = {"eigenvalues", "eigenvalues_transfer", "head_true", "head_transfer"}
    assert_bitwise(base, other, sorted(set(NAMES) - changed))
    for name in changed:
        assert not np.array_equal(getattr(base, name), getattr(other, name))


def test_the_transfer_task_shares_the_covariance_unless_it_has_its_own():
    base, other = draw(problem(), [0]), draw(problem(transfer_kappa_x=100.0), [0])
    assert np.array_equal(base.eigenvalues, base.eigenvalues_transfer)
    assert np.array_equal(base.eigenvectors, base.eigenvectors_transfer)
    values = other.eigenvalues_transfer
    assert values[0] / values[-1] == pytest.approx(100)
    assert not np.array_equal(other.eigenvectors, other.eigenvectors_transfer)
    assert_bitwise(base, other, [name for name in NAMES if not name.endswith("_transfer")])


def test_a_file_gives_back_the_same_bits(tmp_path):
    drawn = draw(problem(), [3, 1])
    other = draw(problem(kappa_x=2.0), [3, 1])
    save({"a": drawn, "b": other}, tmp_path / "sub" / "instances.npz")
    assert_bitwise(load(tmp_path / "sub" / "instances.npz", "a"), drawn)
    assert_bitwise(load(tmp_path / "sub" / "instances.npz", "b"), other)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["instances.npz"]


def corrupt_bytes(content):
    """Ways for a file to be broken: cut short, a flipped byte, other content, nothing at all."""
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    return {
        "truncated": content[: len(content) // 2],
        "flipped": bytes(flipped),
        "text": b"not an archive",
        "empty": b"",
    }


@pytest.mark.parametrize("how", ["truncated", "flipped", "text", "empty"])
def test_a_corrupt_file_is_refused_by_name(tmp_path, how):
    path = tmp_path / "instances.npz"
    save({"a": draw(problem(), [0, 1])}, path)
    path.write_bytes(corrupt_bytes(path.read_bytes())[how])
    with pytest.raises(ValueError, match="instances.npz"):
        load(path, "a")


def test_a_file_without_one_of_the_arrays_is_refused_by_name(tmp_path):
    path = tmp_path / "instances.npz"
    np.savez(path, **{"a/seeds": np.arange(2)})
    with pytest.raises(ValueError, match=r"instances\.npz.*eigenvalues"):
        load(path, "a")


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz", "a")


def test_instances_of_another_problem_or_other_seeds_are_not_taken(tmp_path):
    """A file's keys tell problems and seeds apart, and not what is done with them."""
    path = tmp_path / "instances.npz"
    save({key(problem().instance([0, 1])): draw(problem(), [0, 1])}, path)
    assert load(path, key(problem().instance([0, 1]))).seeds.tolist() == [0, 1]
    for other in (problem(kappa_x=2.0).instance([0, 1]), problem().instance([0])):
        with pytest.raises(ValueError, match="holds no instances of this run's problem and seeds"):
            load(path, key(other))
