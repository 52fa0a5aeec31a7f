"""What one step learns: predicted and simulated alignment of SGD and KFAC (the paper's Fig. 2)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.data.covariance import spectrum
from layerwise.figures import style
from layerwise.theory.alignment import optimal_damping, predicted_alignment

READS = {
    "runs": [
        "along", "link", "spectrum", "kappa_x", "aspect_ratio", "d", "noise",
        "alignment_direction", "alignment_theory",
    ]
}  # fmt: skip
# KFAC's damping values in the panels against kappa_x and gamma, with the shade of each.
SHADES = {1.0: style.BLUE, 100.0: style.SKY}
POINTS = 60
SYMBOLS = {"kappa_x": r"\kappa_x", "aspect_ratio": r"\gamma"}
LABELS = {
    "kappa_x": r"$\kappa_x$",
    "aspect_ratio": r"$\gamma = d/n$",
    "damping": r"damping $\lambda/\lambda^\star$",
}


def draw(tables: dict[str, pd.DataFrame], labels: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """A row for each link and spectrum; columns against kappa_x, gamma and damping."""
    every = _means(tables["runs"])
    drawn = every[every["d"] == every["d"].max()]
    axes_of = [along for along in ("kappa_x", "aspect_ratio") if along in set(drawn["along"])]
    rows = list(drawn[["link", "spectrum"]].drop_duplicates().itertuples(index=False))
    figure, grid = plt.subplots(
        len(rows), len(axes_of) + 1, figsize=(style.WIDTH, 1.6 * len(rows) + 0.6),
        sharex="col", sharey=True, squeeze=False,
    )  # fmt: skip
    for panels, (link, kind) in zip(grid, rows, strict=True):
        own = drawn[(drawn["link"] == link) & (drawn["spectrum"] == kind)]
        for axes, along in zip(panels, axes_of, strict=False):
            _against(axes, own[own["along"] == along], along, labels)
        _against_damping(panels[-1], own, labels)
        panels[0].set_ylabel(f"alignment\n{style.of_link(link)}, {kind.replace('_', '-')}")
    for axes, along in zip(grid[-1], [*axes_of, "damping"], strict=True):
        axes.set_xlabel(LABELS[along])
    for axes, along in zip(grid[0], axes_of, strict=False):
        fixed = "aspect_ratio" if along == "kappa_x" else "kappa_x"
        value = drawn.loc[drawn["along"] == along, fixed].iloc[0]
        axes.set_title(rf"${SYMBOLS[fixed]}={value:g}$")
    for axes in grid[1:, -1]:
        axes.set_title("")  # as above it
    grid[0, 0].set_ylim(0, 1.03)
    style.legend_below(figure, grid[0, 0], columns=3)
    return figure, every


def _means(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over seeds of the measured alignment, for each setting."""
    by = [
        "along", "problem", "method", "damping", "link", "spectrum", "kappa_x", "aspect_ratio", "d",
        "noise", "alignment_theory",
    ]  # fmt: skip
    after = runs[runs["step"] == 1]
    measured = after.groupby(by, sort=False, dropna=False)[["alignment_direction"]]
    means = measured.mean().join(measured.sem().add_suffix("_error"))
    return means.reset_index()


def _predict(row: Any, method: str, **changes: Any) -> np.ndarray:
    """The predicted alignment of a drawn row's problem with some settings changed to arrays."""
    values = np.broadcast_arrays(
        *(np.asarray(changes.get(key, getattr(row, key)), dtype=float) for key in LABELS)
    )
    return np.array(
        [
            predicted_alignment(
                method,
                spectrum(row.spectrum, row.d, kappa),
                gamma,
                row.link,
                row.noise,
                damping * _best(row, kappa, gamma)[0],
            )  # fmt: skip
            for kappa, gamma, damping in zip(*(value.ravel() for value in values), strict=True)
        ]
    )


def _best(row: Any, kappa_x: float, aspect_ratio: float) -> tuple[float, float]:
    """The best damping of a drawn row's problem at these values, and its alignment."""
    found = optimal_damping(
        spectrum(row.spectrum, row.d, kappa_x), aspect_ratio, row.link, row.noise
    )
    return float(found[0]), float(found[1])


def _against(axes: Axes, table: pd.DataFrame, along: str, labels: dict[str, str]) -> None:
    """SGD, and KFAC at some damping values: theory as lines, simulation as points."""
    for method, damping, colour in [
        ("sgd", 0.0, style.RED),
        *(("kfac", *s) for s in SHADES.items()),
    ]:
        own = table[(table["method"] == method) & (table["damping"] == damping)]
        if own.empty:
            continue
        multiple = "" if damping == 1 else rf"{damping:g}\,"
        name = labels[method] + (rf", ${multiple}\lambda^\star$" if method == "kfac" else "")
        first: Any = next(own.itertuples())
        grid = np.geomspace(own[along].min(), own[along].max(), POINTS)
        axes.plot(
            grid, _predict(first, method, **{along: grid}), color=colour, label=f"{name}, theory"
        )
        _points(axes, own, along, colour, name)
    axes.set_xscale("log")


def _against_damping(axes: Axes, table: pd.DataFrame, labels: dict[str, str]) -> None:
    """KFAC against damping on the problem with the largest kappa_x, its optimum, and SGD beside it."""
    table = table[table["along"] == "kappa_x"]
    table = table[table["kappa_x"] == table["kappa_x"].max()]
    kfac, sgd = (table[table["method"] == method] for method in ("kfac", "sgd"))
    if kfac.empty or sgd.empty:
        return
    first: Any = next(kfac.itertuples())
    grid = np.geomspace(kfac["damping"].min(), kfac["damping"].max(), POINTS)
    axes.plot(grid, _predict(first, "kfac", damping=grid), color=style.BLUE)
    _points(axes, kfac, "damping", style.BLUE, labels["kfac"])
    axes.axhline(sgd["alignment_theory"].iloc[0], color=style.RED)
    alignment = _best(first, first.kappa_x, first.aspect_ratio)[1]
    axes.plot(1.0, alignment, ls="", marker="*", ms=8, color=style.BLACK, zorder=4)
    axes.set_xscale("log")
    axes.set_title(
        rf"star: $\lambda^\star$ at $\kappa_x={first.kappa_x:g}$, $\gamma={first.aspect_ratio:g}$"
    )


def _points(axes: Axes, table: pd.DataFrame, along: str, colour: str, name: str) -> None:
    axes.errorbar(
        table[along], table["alignment_direction"], yerr=table["alignment_direction_error"], ls="",
        marker="o", color=colour, label=name, elinewidth=0.7,
    )  # fmt: skip
