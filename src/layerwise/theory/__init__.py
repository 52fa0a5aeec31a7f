"""Predictions of the paper, in NumPy alone."""
