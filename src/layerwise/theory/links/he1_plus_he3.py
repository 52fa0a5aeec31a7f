"""The first and the third Hermite polynomial."""

from layerwise.theory.links import Array


def link(u: Array) -> Array:
    """He_1(u) + He_3(u), with u not standardised."""
    return u + (u**3 - 3 * u)
