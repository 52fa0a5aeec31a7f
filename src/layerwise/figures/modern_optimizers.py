"""Iterations to the target of optimisers newer than the paper, against the condition numbers."""

from layerwise.figures.condition_grid import draw

READS = {"summary": ["kappa_x", "kappa_f", "steps_to_target"], "selection": ["lr_at_edge"]}
__all__ = ["draw"]
