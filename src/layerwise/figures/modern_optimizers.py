"""Iterations to the target of optimisers newer than the paper, against the condition numbers."""

from layerwise.figures.condition_study import draw

READS = {"summary": ["kappa_x", "kappa_f", "iterations"], "selection": []}
__all__ = ["draw"]
