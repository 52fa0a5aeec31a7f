"""What torch.amp.GradScaler tells an optimiser that takes the loss's scale into account itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer


@dataclass(frozen=True)
class GradientScaling:
    """A step's gradients are ``scale`` times the loss's.

    GradScaler sets grad_scale and found_inf for the time of a step. After its unscale_ it sets
    found_inf alone: the gradients are in their own units, the factors' gradients are not.
    """

    scale: float
    known: bool
    overflowed: bool

    @classmethod
    def of(cls, optimizer: Optimizer) -> "GradientScaling":
        """As set on the optimiser now."""
        scale, found_inf = (getattr(optimizer, key, None) for key in ("grad_scale", "found_inf"))
        return cls(
            scale=1.0 if scale is None else float(scale),
            known=found_inf is None or scale is not None,
            overflowed=found_inf is not None and bool(found_inf),
        )

    def unscale(self, parameters: Iterable[Tensor]) -> None:
        """Divide gradients by the scale in place."""
        for parameter in parameters:
            if self.scale != 1.0 and parameter.grad is not None:
                parameter.grad.div_(self.scale)
