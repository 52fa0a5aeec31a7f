"""The paper's layer-wise preconditioner as an optimiser for any PyTorch module.

It stands alone: nothing here imports the rest of the package, and the rest does not import this.
"""

from layerwise.optim.kfac import KFAC

__all__ = ["KFAC"]
