"""Newton's method on the true Hessian over all weights at once, for networks of few weights."""

from typing import ClassVar

from layerwise.methods.gauss_newton import GaussNewton
from layerwise.networks.base import Layers, Need, View
from layerwise.networks.factors import for_variants


class Newton(GaussNewton):
    """W <- W - lr * (Hessian + damping I)^-1 gradient, damping in units of the mean size of the Hessian's
    diagonal. The Hessian is indefinite away from a minimum, so
    undamped Newton is drawn to saddle points as well; a singular system gives NaN."""

    needs: ClassVar[frozenset[Need]] = frozenset({"hessian"})

    def moves(self, view: View) -> Layers:
        """The step at lr = 1."""
        return view.newton(for_variants(self._steps.damping, self._steps.variants))
