"""A reproduction of arXiv 2502.01763: layer-wise preconditioning and provable feature learning.

``layerwise.run`` runs a method on a problem and returns its table; see :mod:`layerwise.notebook`.
"""

from typing import Any

from layerwise.version import __version__ as __version__


def __getattr__(name: str) -> Any:
    """What notebooks use, loaded when it is asked for: plans and figures do without."""
    if name in ("run", "ConfigError"):
        from layerwise import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'layerwise' has no attribute {name!r}")
