"""Activations' slopes against autograd, and batch normalisation against torch's."""

import pytest
import torch

from helpers import assert_close, random
from layerwise.networks.activations import ACTIVATIONS, standardise


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_autograds(name):
    u = torch.tensor([-30.0, -1.3, -1e-9, 0.0, 1e-9, 0.4, 5.0], dtype=torch.float64)
    u.requires_grad_()
    (expected,) = torch.autograd.grad(ACTIVATIONS[name].value(u).sum(), u)
    assert_close(ACTIVATIONS[name].slope(u.detach()), expected, 1e-14)


def test_standardise_is_torchs_batch_norm():
    hidden = random(30, 4, seed=1) * 3 + 2
    layer = torch.nn.BatchNorm1d(4, affine=False, dtype=torch.float64)
    assert_close(standardise(hidden)[0], layer(hidden), 1e-12)
    assert_close(standardise(hidden[:7], hidden)[0], layer(hidden)[:7], 1e-12)
