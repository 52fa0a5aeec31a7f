"""A reproduction of arXiv 2502.01763: layer-wise preconditioning and provable feature learning.

``layerwise.run`` runs a method on a problem and returns its table; see :mod:`layerwise.notebook`.
"""

import os
import sys
from typing import Any

from layerwise.version import __version__ as __version__

# Folders of the user's PYTHONPATH that the command, see layerwise.command.snakemake, has searched last.
sys.path += [
    folder
    for folder in os.environ.get("LAYERWISE_PATH", "").split(os.pathsep)
    if folder and folder not in sys.path
]


def __getattr__(name: str) -> Any:
    """What notebooks use, loaded when it is asked for: plans and figures do without."""
    if name in ("run", "ConfigError"):
        from layerwise import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'layerwise' has no attribute {name!r}")
