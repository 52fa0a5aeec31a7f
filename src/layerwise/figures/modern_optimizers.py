"""Iterations to the target of optimisers newer than the paper, against the condition numbers."""

from layerwise.figures.condition_grid import draw

__all__ = ["draw"]
