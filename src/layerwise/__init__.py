"""Layer-wise preconditioning and feature learning: a checked reproduction of arXiv 2502.01763."""

__version__ = "0.1.0"
