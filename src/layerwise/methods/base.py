"""What an update rule is: it moves weights by what a network shows of itself, and knows no network."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from layerwise.methods.optimizer_class import RAISED, optimizer_class
from layerwise.networks.base import Layers, Need, View
from layerwise.settings.method import MethodSettings
from layerwise.settings.validation import ConfigError

# What a rule's step is in proportion to: the gradient; the gradient divided by second moments of the
# inputs; a step that solves for all weights at once; nothing but lr, whatever the gradient's size.
Scale = Literal["gradient", "natural", "joint", "own"]


class Steps:
    """The variants trained side by side: every damping value with every step size, in that order.

    ``damping`` (D, 1, 1) has a value for each V / D successive variants. ``factor`` is the schedule's:
    the training loop sets it before each step, so rules read ``lr`` anew in each.
    """

    def __init__(self, lr: Layers, damping: Tensor) -> None:
        self._lr, self.damping = lr, damping
        self.factor = 1.0

    @property
    def lr(self) -> Layers:
        """The step sizes now: a tensor for each layer, shape (V, 1, 1) or (S, V, 1, 1), in the network's
        units."""
        if self.factor == 1:
            return self._lr
        return tuple(layer * self.factor for layer in self._lr)

    @property
    def variants(self) -> int:
        """V."""
        return self._lr[0].shape[-3]

    def keep(self, places: Tensor) -> None:
        """Go on with the variants at these places alone, each with a damping of its own from now on where
        there were several."""
        if len(self.damping) > 1:
            each = self.damping.repeat_interleave(self.variants // len(self.damping), dim=0)
            self.damping = each.index_select(0, places)
        self._lr = tuple(layer.index_select(-3, places) for layer in self._lr)


def steps_of(
    lr: Sequence[float], damping: Sequence[float], units: Sequence[Tensor | float], like: Tensor
) -> Steps:
    """The variants of two grids; no damping counts as the value 0. ``units``, one for each layer, are
    what a step size of 1 means there: a number or (S, 1, 1, 1)."""
    dampings = like.new_tensor(damping or [0.0])
    each = like.new_tensor(lr).repeat(len(dampings))[:, None, None]
    return Steps(tuple(each * unit for unit in units), dampings[:, None, None])


class Lost(NamedTuple):
    """What has become of a run whose step raised: what was said."""

    why: str


def lost_runs(memory: Any) -> dict[int, str]:
    """Of a memory that is a list with an entry for each run, seeds first, why those are lost that are."""
    entries = memory if isinstance(memory, list) else []
    return {place: run.why for place, run in enumerate(entries) if isinstance(run, Lost)}


class UndividedError(TypeError):
    """Memory of which nobody can tell what belongs to which variant."""


def of_variants(memory: Any, places: Tensor) -> Any:
    """What belongs to the variants at ``places``, of a memory of tensors (S, V, …, …) in tuples, and of
    numbers for all. Raises UndividedError for any other."""
    if memory is None or isinstance(memory, int | float):
        return memory
    if isinstance(memory, Tensor) and memory.ndim == 4:
        # Until weights differ, it may be (S, 1, …, …), shared.
        return memory.index_select(1, places) if memory.shape[1] > 1 else memory
    if isinstance(memory, tuple):
        parts = [of_variants(part, places) for part in memory]
        return type(memory)(*parts) if hasattr(memory, "_fields") else tuple(parts)
    raise UndividedError(f"memory of type {type(memory).__name__}")


class Update(Protocol):
    """One step of an optimiser on weights batched over S seeds and V variants.

    ``start`` returns its memory (None if it has none); ``step`` returns new weights and new memory and
    changes neither argument. Runs must not mix: whatever happens in one (seed, variant), the others stay
    bitwise the same. A step that cannot be taken is returned as NaN, and the loop records the run as
    diverged; as failed, where the memory tells of it as :class:`Lost`. At the start the weights may be
    (S, 1, …), shared by a seed's variants; the new ones are (S, V, …). A rule that has ``narrowed``, which
    takes memory to that of the variants at some places, is not asked to move lost ones for ever.
    """

    def start(self, weights: Layers) -> Any:
        """The memory before the first step."""

    def step(self, views: Sequence[View], memory: Any) -> tuple[Layers, Any]:
        """Weights and memory after one step from the first view's weights, a view for each batch."""


class Rule(Update, Protocol):
    """An update that a configuration names: made with its steps and the options of its method's file.
    The class attributes are literals, which plans read from the source."""

    needs: ClassVar[frozenset[Need]]
    batches: ClassVar[int]  # independent batches that a step uses
    scale: ClassVar[Scale]
    takes_damping: ClassVar[bool]
    # Options that need more of a network where they are set, neither null nor false.
    option_needs: ClassVar[Mapping[str, Need]]
    # Those of them for which null stands for whether the network offers it.
    where_offered: ClassVar[frozenset[str]]


class OfGradients:
    """Base of the rules that look at nothing but each layer's gradient: :meth:`directions` says which
    way, and every layer moves by minus its lr times that."""

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})
    batches: ClassVar[int] = 1
    scale: ClassVar[Scale] = "gradient"
    takes_damping: ClassVar[bool] = False
    option_needs: ClassVar[Mapping[str, Need]] = {}
    where_offered: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def start(self, weights: Layers) -> Any:
        """No memory, unless a rule says otherwise."""
        return None

    def step(self, views: Sequence[View], memory: Any) -> tuple[Layers, Any]:
        """As :class:`Update`."""
        (view,) = views
        directions, memory = self.directions(view.gradients, memory)
        return descended(view.weights, self.steps.lr, directions), memory

    def narrowed(self, memory: Any, places: Tensor) -> Any:
        """The memory of the variants at ``places``; UndividedError where a rule's is of its own kind."""
        return of_variants(memory, places)

    def directions(self, gradients: Layers, memory: Any) -> tuple[Layers, Any]:
        """What to subtract, in units of lr, for gradients (S, V, out, in), and the new memory."""
        raise NotImplementedError


def descended(weights: Layers, lr: Layers, directions: Layers) -> Layers:
    """Every layer less lr times its direction."""
    each = zip(weights, lr, directions, strict=True)
    return tuple(torch.addcmul(weight, step, way, value=-1) for weight, step, way in each)


def load_rule(method: MethodSettings, steps: Steps) -> Rule:
    """The rule that ``method.rule`` names."""
    make: Any = rule_class(method)
    options = dict(method.options)
    if method.optimizer_file is not None:
        file = Path(method.optimizer_file)
        options["optimizer"] = optimizer_class(options["optimizer"], _from_file(file.stem, file))
    rule: Rule = make(steps, **options)
    return rule


def rule_class(method: MethodSettings) -> type[Rule]:
    """Its class: of a file of this package, of a file of the user's, or of an installed package."""
    module, _, name = method.rule.rpartition(".")
    if method.rule_file is None:
        found = importlib.import_module(f"layerwise.methods.{module}")
    elif "." in module:
        found = importlib.import_module(module)
    else:
        found = _from_file(module, Path(method.rule_file))
    rule: type[Rule] = getattr(found, name)
    return rule


@cache
def _from_file(module: str, path: Path) -> ModuleType:
    """The module of a file of the user's, which may import those beside it: while it is loaded these
    come first, whatever else has their names; later, behind all else."""
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(module, found)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(found)
    except RAISED as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be loaded: {type(error).__name__}: {reason}") from None
    finally:
        sys.path.remove(str(path.parent))
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
    return found
