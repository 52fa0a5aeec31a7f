"""Alternating minimisation and gradient descent (Collins et al. 2021)."""

from typing import ClassVar

from layerwise.methods.base import Scale
from layerwise.methods.dfw import DFW
from layerwise.networks.base import Need


class AMGD(DFW):
    """DFW without the whitening: Q_G = I."""

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "refit", "linear"})
    scale: ClassVar[Scale] = "gradient"
    takes_damping: ClassVar[bool] = False

    whiten = False
