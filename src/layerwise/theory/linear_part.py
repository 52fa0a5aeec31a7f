"""The linear part of a link function under a Gaussian input, by adaptive quadrature."""

import math
from typing import NamedTuple

import numpy as np

from layerwise.theory.links import Array, Link, named

# Below this share of the link's root mean square its linear part is rounding.
_NO_LINEAR_PART = 1e-9
# And below this ratio to the linear part so is what is left of the link.
_NO_REST = 1e-13

_REACH = 16.0  # standard deviations on each side; the density beyond is under 1e-55
_PANELS = 128  # to start with; zero is an edge
_MAX_PANELS = 20_000
_MAX_HALVINGS = 60
_TOLERANCE = 1e-14  # of one panel's share of E[link^2], and of E[link u] on the same scale
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(20)


class LinearPart(NamedTuple):
    """The least-squares fit of link(u) by slope * u, for u ~ N(0, variance)."""

    slope: float  # c = E[link(u) u] / E[u^2]
    rest: float  # E[(link(u) - c u)^2]: tau^2 without the label noise; a mean counts as rest


def linear_part(link: str | Link, variance: float) -> LinearPart:
    """Slope and rest of a link at u ~ N(0, variance), ``link`` a name or a vectorised callable.

    Adaptive Gauss-Legendre quadrature: each panel is halved until it agrees with its halves, so
    that kinks and jumps cost more panels and no accuracy. The rest is integrated, not subtracted,
    and is exactly 0 for a linear link. Relative to the root mean square of the link, slope times
    that of u and the root of the rest are good to about 1e-15 for smooth links and 1e-13 for
    jumps, unless a feature narrower than a hundredth of u's standard deviation hides between the
    first nodes.

    Raises ValueError for an unknown name, a link that does not return one finite number for each
    input, a quadrature that does not converge, and a link without a linear part.
    """
    z, weight, value = _nodes(named(link), math.sqrt(variance))
    power = float(np.sum(weight * value**2))
    projection = float(np.sum(weight * value * z))  # c sqrt(variance)
    if abs(projection) <= _NO_LINEAR_PART * math.sqrt(power):
        raise ValueError(
            "the link has no linear part at this input variance (E[link(u) u] = 0), "
            "so one step cannot find the direction"
        )
    rest = float(np.sum(weight * (value - projection * z) ** 2))
    if rest <= (_NO_REST * projection) ** 2:
        rest = 0.0
    return LinearPart(projection / math.sqrt(variance), rest)


def _nodes(link: Link, scale: float) -> tuple[Array, Array, Array]:
    """Nodes z, Gaussian weights and link(scale z), enough for E[link^2] and E[link z]."""
    edges = np.linspace(-_REACH, _REACH, _PANELS + 1)
    left, right = edges[:-1], edges[1:]
    z, weight, value = _panels(link, scale, left, right)
    coarse = _panel_moments(z, weight, value)
    size = coarse[1].sum()  # E[link^2], refined below
    if coarse[1, [0, -1]].max() > _TOLERANCE * size:
        raise ValueError("the link grows too fast for its square to have a Gaussian expectation")
    accepted = []
    for _ in range(_MAX_HALVINGS):
        middle = (left + right) / 2
        left, right = np.append(left, middle), np.append(middle, right)
        z, weight, value = _panels(link, scale, left, right)
        fine = _panel_moments(z, weight, value)
        error = np.abs(fine.reshape(2, 2, -1).sum(axis=1) - coarse)
        size = max(size, fine[1].sum())
        agrees = np.tile((error <= _TOLERANCE * np.array([[size**0.5], [size]])).all(axis=0), 2)
        accepted.append((z[agrees], weight[agrees], value[agrees]))
        left, right, coarse = left[~agrees], right[~agrees], fine[:, ~agrees]
        if left.size == 0:
            z, weight, value = (
                np.concatenate(parts).ravel() for parts in zip(*accepted, strict=True)
            )
            return z, weight, value
        if left.size > _MAX_PANELS:
            break
    raise ValueError(
        "the Gaussian expectation of the link did not converge: is it a smooth function but for "
        "a few kinks and jumps, and square integrable?"
    )


def _panels(link: Link, scale: float, left: Array, right: Array) -> tuple[Array, Array, Array]:
    """Nodes, weights times the normal density, and the link's values: each (panels, points)."""
    half = (right - left)[:, None] / 2
    z = (left + right)[:, None] / 2 + half * _POINTS
    weight = half * _WEIGHTS * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    value = np.asarray(link(scale * z), dtype=float)
    if value.shape != z.shape or not np.isfinite(value).all():
        raise ValueError("the link must return one finite number for each element of its input")
    return z, weight, value


def _panel_moments(z: Array, weight: Array, value: Array) -> Array:
    """The panels' shares of E[link z] and E[link^2]: shape (2, panels)."""
    with np.errstate(over="ignore", invalid="ignore"):  # such panels never agree
        return np.stack([(weight * value * z).sum(axis=1), (weight * value**2).sum(axis=1)])
