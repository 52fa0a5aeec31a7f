"""Link functions of the single-index model, y = link(beta^T x): a file each, which defines ``link``.

A new link is a file NAME.py here with a vectorised function ``link`` of an array; NAME is then allowed as
task.link.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Link = Callable[[Array], Array]

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def named(link: str | Link) -> Link:
    """The link function of that name; a callable is returned as it is.

    Raises ValueError for an unknown name, with the nearest known one.
    """
    if not isinstance(link, str):
        return link
    if link not in NAMES:
        nearest = difflib.get_close_matches(link, NAMES, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"link = {link!r} is unknown: did you mean {nearest!r} (allowed are {', '.join(NAMES)})"
        )
    found: Link = importlib.import_module(f"{__name__}.{link}").link
    return found
