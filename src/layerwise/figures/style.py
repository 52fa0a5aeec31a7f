"""One look for all figures: a method has the same colour, marker and line everywhere.

Colours are Okabe and Ito's, which colour-blind readers tell apart, with two of Tol's for the modern
optimisers; a variant keeps its method's colour and changes line and marker.
"""

from collections.abc import Iterable
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 7.0  # inches: a page's text width
COLUMN = 3.4  # inches: one of two columns

RC: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.dpi": 160,
    "pdf.fonttype": 42,
    "figure.constrained_layout.use": True,
}

ORANGE, SKY, GREEN, BLUE, RED, PURPLE = (
    "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
BLACK, GREY = "#000000", "#888888"
WINE, OLIVE = "#882255", "#999933"

METHODS: dict[str, dict[str, Any]] = {
    "sgd": {"color": RED, "marker": "o", "linestyle": "-"},
    "sgd_features": {"color": RED, "marker": "s", "linestyle": "--"},
    "adam": {"color": ORANGE, "marker": "s", "linestyle": "-"},
    "amgd": {"color": PURPLE, "marker": "^", "linestyle": "-"},
    "dfw": {"color": SKY, "marker": "v", "linestyle": "-"},
    "kfac": {"color": BLUE, "marker": "D", "linestyle": "-"},
    "kfac_input": {"color": GREEN, "marker": "P", "linestyle": "-"},
    "kfac_average": {"color": BLUE, "marker": "d", "linestyle": "--"},
    "gauss_newton": {"color": BLACK, "marker": "X", "linestyle": "-"},
    "newton": {"color": BLACK, "marker": "H", "linestyle": "--"},
    "shampoo": {"color": WINE, "marker": "p", "linestyle": "-"},
    "soap": {"color": WINE, "marker": "h", "linestyle": "--"},
    "muon": {"color": OLIVE, "marker": "d", "linestyle": "-"},
    "spectral": {"color": OLIVE, "marker": "8", "linestyle": "--"},
    "momentum": {"color": PURPLE, "marker": "o", "linestyle": "--"},
    "adam_95": {"color": ORANGE, "marker": "D", "linestyle": "-."},
    "kfac_first": {"color": SKY, "marker": "P", "linestyle": "--"},
    "bn_hidden_sgd": {"color": RED, "marker": "<", "linestyle": "--"},
    "bn_hidden_momentum": {"color": PURPLE, "marker": "<", "linestyle": ":"},
    "bn_hidden_adam_95": {"color": ORANGE, "marker": "P", "linestyle": (0, (5, 1))},
    "bn_hidden_adam": {"color": ORANGE, "marker": "<", "linestyle": "--"},
    "bn_input_sgd": {"color": RED, "marker": ">", "linestyle": ":"},
    "bn_input_adam": {"color": ORANGE, "marker": ">", "linestyle": ":"},
    "whitened_sgd": {"color": GREY, "marker": "*", "linestyle": "-."},
    "whitened_adam": {"color": GREY, "marker": "s", "linestyle": ":"},
}
# The names of methods with normalised or whitened inputs or features, and of variants of KFAC, start so:
# where there are many methods they have panels of their own.
NORMALISED, VARIANTS = ("bn_", "whitened_"), ("kfac_",)
MOST = 6  # methods of a panel
# Optimisers newer than the paper: where an experiment draws them apart, beside what they are held against.
NEWER, BESIDE_NEWER = ("shampoo", "soap", "muon", "spectral"), ("kfac", "adam_95")
# A method that is not listed gets one of these, by its position among the unlisted.
SPARE = [
    {"color": color, "marker": marker, "linestyle": (0, (3, 1, 1, 1))}
    for color, marker in ((GREEN, "h"), (PURPLE, "d"), (SKY, "p"), (BLACK, "8"))
]


def ordered(names: Iterable[str]) -> list[str]:
    """Method names in the order of METHODS, unlisted ones last."""
    listed = list(METHODS)
    return sorted(names, key=lambda name: listed.index(name) if name in listed else len(listed))


def in_panels(names: Iterable[str]) -> list[list[str]]:
    """Methods that share panels, in order: all of them, or where there are more than MOST those that are
    NORMALISED and VARIANTS apart, together if they are few, and then as many at a time as may be."""
    methods = ordered(set(names))
    if len(methods) <= MOST:
        return [methods]
    normalised = [name for name in methods if name.startswith(NORMALISED)]
    variants = [name for name in methods if name.startswith(VARIANTS)]
    plain = [name for name in methods if name not in {*normalised, *variants}]
    if len(normalised) + len(variants) <= MOST:
        normalised, variants = ordered([*normalised, *variants]), []
    return [
        part[at : at + MOST]
        for part in (plain, normalised, variants)
        for at in range(0, len(part), MOST)
    ]


def newer_apart(names: Iterable[str], newer: bool) -> list[str]:
    """Of an experiment's methods the NEWER ones, BESIDE_NEWER among them, or all but those; all of them
    where it has nothing of the kind."""
    methods = ordered(set(names))
    own = [name for name in methods if (name in NEWER) == newer]
    if newer and own:
        own = ordered([*own, *(name for name in BESIDE_NEWER if name in methods)])
    return own or methods


def of_method(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Keyword arguments of a method's line, its label included."""
    unlisted = [method for method in labels if method not in METHODS]
    look = METHODS[name] if name in METHODS else SPARE[unlisted.index(name) % len(SPARE)]
    return look | {"label": labels[name]}


def legend_below(figure: Figure, *axes: Axes, columns: int) -> None:
    """One legend for all panels, under them, of what is drawn in these."""
    named: dict[str, Artist] = {}
    for one in axes:
        handles, labels = one.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=columns)


LINKS = {"relu_centred": "centred relu", "he1_plus_he3": r"$\mathrm{He}_1+\mathrm{He}_3$"}


def of_link(name: str) -> str:
    """A link's name for readers."""
    return LINKS.get(name, name.replace("_", " "))
