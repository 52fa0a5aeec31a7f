"""Activations' slopes against autograd, and batch normalisation against torch's."""

import pytest
import torch

from helpers import assert_close, random
from layerwise.networks.activations import ACTIVATIONS, mean_and_scale


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_autograds(name):
    u = torch.tensor([-30.0, -1.3, -1e-9, 0.0, 1e-9, 0.4, 5.0], dtype=torch.float64)
    u.requires_grad_()
    (expected,) = torch.autograd.grad(ACTIVATIONS[name].value(u).sum(), u)
    assert_close(ACTIVATIONS[name].slope(u.detach()), expected, 1e-14)


def test_what_standardises_is_torchs_batch_norm_even_far_from_zero():
    hidden = random(30, 4, seed=1) * 3 + 2
    layer = torch.nn.BatchNorm1d(4, affine=False, dtype=torch.float64)
    mean, scale = mean_and_scale(hidden, 0)
    assert_close((hidden - mean) * scale, layer(hidden), 1e-12)
    far = (1000 + random(200, 4, seed=2)).float()
    variance = torch.var(far.double(), dim=0, correction=0)
    mean, scale = mean_and_scale(far.mT, -1)
    assert_close(scale[:, 0].double() ** -2, variance, 1e-3)
