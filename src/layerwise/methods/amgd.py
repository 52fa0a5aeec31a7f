"""Alternating minimisation and gradient descent (Collins et al. 2021)."""

from layerwise.methods.dfw import DFW


class AMGD(DFW):
    """DFW without the whitening: Q_G = I."""

    whiten = False
