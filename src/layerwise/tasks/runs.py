"""What has become of the runs of a training: which have diverged, which have arrived."""

from collections.abc import Mapping

import torch
from torch import Tensor

from layerwise.results.first_passage import HOLD


class Runs:
    """Of ``shape`` (S, V), of which some variants may be left out on the way. Masks given and returned are
    of those that are left."""

    def __init__(self, shape: tuple[int, int], device: torch.device) -> None:
        self._places = torch.arange(shape[1], device=device)
        self._all = torch.full(shape, -1, device=device)
        self._diverged_at = self._all
        self._arrived = torch.zeros(shape, dtype=torch.bool, device=device)
        self._held = torch.zeros(shape, dtype=torch.long, device=device)
        self.failures: dict[tuple[int, int], str] = {}

    @property
    def alive(self) -> Tensor:
        """Which have not diverged."""
        return self._diverged_at < 0

    @property
    def diverged_at(self) -> Tensor:
        """The step that was refused, or -1, of all runs (S, V)."""
        return self._all.index_copy(1, self._places, self._diverged_at)

    def of_all(self, values: Tensor) -> Tensor:
        """Values of the variants that are left as those of all (S, V), NaN for the others."""
        if values.shape[1] == self._all.shape[1]:
            return values
        return values.new_full(self._all.shape, torch.nan).index_copy_(1, self._places, values)

    def stepped(self, step: int, ok: Tensor, lost: Mapping[int, str]) -> Tensor:
        """Which go on after a step, of what it proposes being ``ok``; ``lost`` tells of those whose step
        raised, by their place, seeds first."""
        alive = self.alive
        for place, why in lost.items():
            seed, variant = divmod(place, alive.shape[1])
            if alive[seed, variant]:  # what raises once it has diverged has not failed
                self.failures[seed, int(self._places[variant])] = why
        self._diverged_at = torch.where(ok | ~alive, self._diverged_at, step)
        return ok & alive

    def arrived(self, reached: Tensor) -> bool:
        """Whether, with these having reached their target at a recorded step, one variant has been there
        for HOLD of them with every seed, or no run is left that could get there."""
        self._held = torch.where(reached, self._held + 1, 0)
        self._arrived |= self._held >= HOLD
        return bool(self._arrived.all(dim=0).any() | (self._arrived | ~self.alive).all())

    def keep(self, places: Tensor) -> None:
        """Go on with the variants at these places alone."""
        self._all = self.diverged_at
        self._diverged_at, self._arrived, self._held = (
            of.index_select(1, places) for of in (self._diverged_at, self._arrived, self._held)
        )
        self._places = self._places[places]
