"""What single-index learning comes to: excess error and alignment against kappa_x, link by link."""

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.figures import panels, style
from layerwise.results.selection import bands

READS = {
    "traces": [
        "kappa_x", "link", "aspect_ratio", "alignment_readout", "test_error", "noise_floor",
        "test_error_linear", "test_error_ridge", "test_error_oracle",
    ]
}  # fmt: skip
METRICS = {"excess": "excess test error", "misalignment": r"$1-$ alignment"}
BASELINES = {
    "random": "random features",
    "linear": "best linear",
    "ridge": "ridge on x",
    "oracle": "true direction",
}
BY = ["problem", "kappa_x", "link", "method", "damping", "lr"]
NEAR = 2.0  # heights with less than this ratio have no room for a name each
PART = 0  # of style.in_panels


def draw(
    tables: dict[str, pd.DataFrame], labels: dict[str, str], part: int = PART
) -> tuple[Figure, pd.DataFrame]:
    """A row for each link, a column for each metric, after the last step."""
    drawn = measured(tables["traces"])
    groups = style.in_panels(drawn.loc[drawn["kind"] == "method", "method"].unique())
    methods = groups[min(part, len(groups) - 1)]
    links = list(drawn["link"].unique())
    figure, grid = plt.subplots(
        len(links), len(METRICS), figsize=(style.WIDTH, 1.9 * len(links) + 0.8), sharex=True,
        squeeze=False,
    )  # fmt: skip
    for row, link in zip(grid, links, strict=True):
        for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
            own = drawn[(drawn["link"] == link) & (drawn["metric"] == metric)]
            shown = own[(own["kind"] == "method") & own["method"].isin(methods)]
            panels.over_setting(axes, shown, "kappa_x", labels)
            _baselines(axes, own[own["kind"] != "method"])
            panels.label_values(axes, own["kappa_x"])
            axes.set_ylabel(name)
        row[0].set_title(f"link: {style.of_link(link)}")
    for axes in grid[-1]:
        axes.set_xlabel(r"$\kappa_x$")
    style.legend_below(figure, grid[0, 0], columns=4)
    return figure, drawn


def measured(traces: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over seeds after the last step of the excess over the noise's share, and of
    one less the alignment; ``kind`` is method, or the baseline that it is."""
    last = traces[traces["step"] == traces["step"].max()]
    start = traces[(traces["step"] == 0) & (traces["method"] == traces["method"].iloc[0])]
    floor = last["noise_floor"]
    of = last.assign(
        excess=last["test_error"] - floor, misalignment=1 - last["alignment_readout"].abs()
    )
    parts = [bands(of, BY, metric).assign(metric=metric, kind="method") for metric in METRICS]
    first = last[last["method"] == last["method"].iloc[0]]
    excess = {
        "random": (start, start["test_error"]),
        "linear": (first, first["test_error_linear"]),
        "ridge": (first, first["test_error_ridge"]),
        "oracle": (first, first["test_error_oracle"]),
    }
    for kind, (runs, error) in excess.items():
        own = runs.assign(excess=error - runs["noise_floor"])
        parts.append(bands(own, BY, "excess").assign(metric="excess", kind=kind))
    return pd.concat(parts, ignore_index=True)


def _baselines(axes: Axes, table: pd.DataFrame) -> None:
    """A grey dash at each condition number, named at the right edge; those that end nearly alike share a
    name."""
    ends: list[tuple[float, str]] = []
    for kind, name in BASELINES.items():
        own = table[(table["kind"] == kind) & np.isfinite(table["median"])].sort_values("kappa_x")
        if own.empty:
            continue
        height = own["median"].clip(lower=1e-6)
        axes.plot(own["kappa_x"], height, color=style.GREY, ls="", marker="_", ms=9, zorder=1)
        ends.append((float(height.iloc[-1]), name))
    for at, together in _near(ends):
        axes.annotate(
            "\n".join(together), (1, at), xycoords=axes.get_yaxis_transform(), xytext=(2, 0),
            textcoords="offset points", va="center", fontsize=5.5, color="#555555",
        )  # fmt: skip


def _near(ends: list[tuple[float, str]]) -> list[tuple[float, list[str]]]:
    """Heights on a log axis with their names, those within NEAR of the one below together."""
    groups: list[list[tuple[float, str]]] = []
    for end in sorted(ends):
        if groups and end[0] < NEAR * groups[-1][-1][0]:
            groups[-1].append(end)
        else:
            groups.append([end])
    return [
        (math.prod(at for at, _ in group) ** (1 / len(group)), [name for _, name in group[::-1]])
        for group in groups
    ]
