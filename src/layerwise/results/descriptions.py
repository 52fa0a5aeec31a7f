"""What tables' columns mean to a reader: names, axes, which end is good, and what to look at first.

The one place for it: menus, axes and default views of the page of results follow from here. A column
that is not listed is shown under its own name. No torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Metric:
    """A measured column."""

    label: str
    log: bool = True  # the axis that shows it best
    better: str = "smaller"  # or larger, or neither
    infinite: str = "diverged"  # what an infinite value says
    listed: bool = True  # whether menus offer it
    # It is what an experiment with this value of a setting is about, and says nothing in others.
    only_where: Mapping[str, Any] = field(default_factory=dict)
    predicted_by: str | None = None  # the column of what theory says of it
    of_setting: str | None = None  # a setting that changes this metric alone
    average_of: str | None = None  # the metric whose average over the iterations it is
    seen_in: str | None = None  # what to look at where an experiment selects by it
    beside: tuple[str, ...] = ()  # what to look at with it
    from_one: bool = False  # whether readers are shown one less the column
    explained: str = ""  # what a caption says of it

    @property
    def at_end(self) -> bool:
        """Whether it is of a run's last iteration, and not of the run as a whole."""
        return self.infinite == "diverged" and self.average_of is None and not self.only_where


def _alignment(label: str, **changes: Any) -> Metric:
    return Metric(label, log=False, better="larger", **changes)


# In the order in which menus offer them.
METRICS: dict[str, Metric] = {
    "subspace_distance": Metric("subspace distance", beside=("transfer_loss",)),
    "train_loss": Metric("training loss", beside=("transfer_loss",)),
    "transfer_loss": Metric("transfer loss", of_setting="n_transfer"),
    "iterations": Metric(
        "iterations to the target",
        infinite="not reached",
        predicted_by="iterations_theory",
        explained="iterations are interpolated, so that a first step that arrives takes less than 1",
    ),
    "iterations_half": Metric("iterations to half the target", infinite="not reached"),
    "alignment_direction": _alignment(
        "alignment of the learned direction", predicted_by="alignment_theory"
    ),
    "alignment_readout": _alignment(
        "alignment of the direction through the readout", beside=("test_error",)
    ),
    "alignment": _alignment(
        "alignment with β⋆", predicted_by="alignment_theory", beside=("test_error",)
    ),
    "test_error": Metric("test error", log=False),
    "validation_error": Metric(
        "validation error", log=False, seen_in="alignment", beside=("test_error",)
    ),
    "network_error": Metric("network's own error", log=False),
    "subspace_gap": Metric("subspace gap"),
    "transfer_error": Metric("transfer error"),
    "transfer_error_isotropic": Metric("transfer error, Σ_x = I"),
    "transfer_error_inputs": Metric("transfer error on the inputs themselves"),
    "contraction": Metric(
        "1 − contraction a step",
        better="larger",
        only_where={"noise": 0},
        from_one=True,
        predicted_by="contraction_theory",
    ),
    "excess_loss": Metric("excess loss"),
    "mean_subspace_distance": Metric("mean subspace distance", average_of="subspace_distance"),
    "mean_train_loss": Metric("mean training loss", average_of="train_loss"),
    "singular_values_update": Metric(
        "singular values of the update",
        better="neither",
        beside=("singular_values_after", "singular_values_before"),
    ),
    "singular_values_before": Metric("singular values before the step", better="neither"),
    "singular_values_after": Metric("singular values after the step", better="neither"),
    "cosine_biased": Metric("|cos| of the update with Σ_x β⋆", log=False, better="neither"),
    "cosine_bias": Metric(
        "cos with the part of Σ_x β⋆ orthogonal to β⋆", log=False, better="neither"
    ),
    "spike_ratio": Metric("outlier over the next singular value", better="neither"),
    "test_error_random_features": Metric("test error, random features", log=False),
    "test_error_linear": Metric("test error, best linear", log=False),
    "test_error_ridge": Metric("test error, ridge on the inputs", log=False),
    "test_error_oracle": Metric("test error, features of β⋆", log=False),
    "noise_floor": Metric("noise floor", better="neither", listed=False),
    "transfer_loss_population": Metric("transfer loss, best head"),
    "outside_norm": Metric("norm outside the subspace", listed=False),
    "head_sigma_min": Metric("σ_min of the head", better="neither", listed=False),
    "alignment_theory": _alignment("alignment, formula", listed=False),
    "iterations_theory": Metric("iterations, theory", infinite="not reached", listed=False),
    "contraction_theory": Metric(
        "1 − contraction a step, theory", better="larger", listed=False, from_one=True
    ),
    "floor_theory": Metric("floor of the subspace distance, theory"),
    "distance_theory": Metric("subspace distance at the end, theory"),
    "eigenvalue_min": Metric("smallest eigenvalue of Σ_x", better="neither", listed=False),
}

# Settings by which problems may differ, or that all share.
SETTINGS: dict[str, str] = {
    "kappa_x": "κ_x",
    "kappa_f": "κ_F",
    "aspect_ratio": "γ = d/n",
    "batch_size": "batch size",
    "n_transfer": "transfer samples",
    "transfer_kappa_x": "κ_x of the transfer task",
    "readout_scale": "readout scale",
    "d_x": "d_x",
    "d_y": "d_y",
    "rank": "k",
    "width": "d_h",
    "depth": "hidden layers",
    "head_scale": "scale of the first head",
    "directions": "the teacher's directions are isotropic in",
    "n_train": "training samples",
    "noise": "noise",
    "inputs": "inputs",
    "basis": "basis of Σ_x",
    "target": "target distance",
}

# Along what a run itself extends.
ALONG: dict[str, str] = {"step": "iteration", "index": "index"}
# What a method tries on a problem.
GRIDS: dict[str, str] = {"lr": "step size", "damping": "damping"}

MANY = 5  # values from which a setting is worth a horizontal axis before anything else
FEW = 2  # and up to which it is not, where there is another


def metric(name: str) -> Metric:
    """A column's description, by its own name where there is none."""
    return METRICS.get(name) or Metric(name.replace("_", " "))


def setting(name: str) -> str:
    """A setting's name for readers."""
    known = SETTINGS | ALONG | GRIDS
    return known.get(name) or name.replace("_", " ")


class Offer(NamedTuple):
    """What an experiment's tables hold: numeric settings that differ with the number of their values,
    other settings that differ, the longest grid of step sizes, recorded places along a run, metrics at
    its end and along it, settings that all problems share, and what step sizes are selected by."""

    numeric: dict[str, int]
    named: Sequence[str]
    crossed: bool  # whether there is a problem for all their combinations
    step_sizes: int
    along: tuple[str, int] | None
    final: Sequence[str]
    traced: Sequence[str]
    fixed: Mapping[str, Any]
    select_by: str | None


class View(NamedTuple):
    """A first look: the horizontal axis, what stands on vertical ones, and a panel for each of what."""

    x: str
    y: list[str]
    rows: str | None


def default_view(offer: Offer) -> View:
    """The view that an experiment is about, from what it varies and selects by."""
    about = _about(offer)
    x = _horizontal(offer, about)
    able = offer.traced if offer.along and x == offer.along[0] else offer.final
    wanted = [about, *(m for m in METRICS if metric(m).of_setting == x), *metric(about).beside]
    y = [m for m in dict.fromkeys(wanted) if m in able] or list(able[:1])
    if about in y and any(metric(m).of_setting == x for m in y):
        y = [m for m in y if metric(m).of_setting == x]
    panels = [*offer.named, *(key for key in offer.numeric if key != x and offer.crossed)]
    return View(x, y[:4], panels[0] if panels else None)


def _about(offer: Offer) -> str:
    """The metric in question: of a run that extends along an index, what does."""
    if offer.along and offer.along[0] != "step":
        return next((name for name in METRICS if name in offer.traced), offer.traced[0])
    for name, value in METRICS.items():
        where = value.only_where
        if where and name in offer.final and all(offer.fixed.get(k) == v for k, v in where.items()):
            return name
    selecting = metric(offer.select_by or "")
    own = selecting.average_of or selecting.seen_in or offer.select_by
    candidates = (own, offer.select_by, *METRICS, *offer.traced, *offer.final)
    return next((m for m in candidates if m in (*offer.traced, *offer.final)), "") or ""


def _horizontal(offer: Offer, about: str) -> str:
    longest = max(offer.numeric, key=lambda key: offer.numeric[key], default=None)
    values = offer.numeric[longest] if longest else 0
    along, places = offer.along if offer.along and about in offer.traced else (None, 0)
    selecting = metric(offer.select_by or "")
    averaged = selecting.average_of is not None
    if along and along != "step":
        return along
    if metric(about).only_where and offer.step_sizes > FEW:
        return "lr"
    if longest and (values >= MANY or not averaged and (values > FEW or not along)):
        return longest
    if along and (averaged or selecting.seen_in or places >= offer.step_sizes):
        return along
    return "lr" if offer.step_sizes > 1 else longest or along or "lr"
