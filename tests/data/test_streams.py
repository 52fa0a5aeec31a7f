"""Random streams are named by purpose and seed, and depend on nothing else."""

import numpy as np
import pytest
import torch

from helpers import population
from layerwise.data.batches import RawBatches
from layerwise.data.moments import gaussian_moments
from layerwise.data.streams import generator

STREAMS = {"moments": gaussian_moments, "batches": RawBatches}


def numbers(purpose, seed, count=20000):
    return generator(purpose, seed).standard_normal(count)


def test_a_stream_is_reproducible():
    assert np.array_equal(numbers("batches", 3), numbers("batches", 3))


@pytest.mark.parametrize("other", [("batches", 4), ("initial weights", 3), ("batches ", 3)])
def test_streams_of_other_purposes_or_seeds_are_independent(other):
    """No number in common, and a correlation within 4 standard errors of zero."""
    a, b = numbers("batches", 3), numbers(*other)
    assert not np.isin(a, b).any()
    assert abs(a @ b) / len(a) < 4 / np.sqrt(len(a))


def test_the_first_numbers_of_a_stream_are_fixed():
    """Results recorded earlier stay reproducible only as long as these stay as they are."""
    assert generator("batches", 3).integers(0, 1000, 4).tolist() == [383, 416, 678, 15]


@pytest.mark.parametrize("engine", ["moments", "batches"])
def test_a_seeds_batches_do_not_depend_on_its_neighbours(engine):
    """The same seed alone, and between two others, gives the same batches to the last bits.

    Only the rounding of batched products may differ: 1e-13.
    """
    alone = STREAMS[engine](population(seeds=(5,)), 20, [5], "batches")
    among = STREAMS[engine](population(seeds=(2, 5, 9)), 20, [2, 5, 9], "batches")
    for _ in range(3):
        a, b = alone.next(), among.next()
        for name in ("xx", "yx", "yy", "x_mean", "y_mean"):
            own = getattr(b, name)[1]
            torch.testing.assert_close(getattr(a, name)[0], own, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("engine", ["moments", "batches"])
def test_batches_for_other_purposes_differ(engine):
    """The head's batches are independent of the features', and training's of the transfer's."""
    of = population(seeds=(0,))
    a, b = (STREAMS[engine](of, 20, [0], name).next() for name in ("one", "other"))
    assert (a.xx != b.xx).all()
    assert (a.yx != b.yx).all()
