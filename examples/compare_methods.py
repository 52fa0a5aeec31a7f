"""Subspace distance over the iterations of methods on a problem of your own, each at its best step size.

python examples/compare_methods.py --kappa-x 300 sgd adam kfac muon --out compare.png
"""

import argparse
from pathlib import Path

from matplotlib import pyplot as plt

import layerwise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=["sgd", "adam", "kfac"])
    parser.add_argument(
        "--kappa-x", type=float, default=100.0, help="condition number of the inputs"
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, help="a picture of it")
    arguments = parser.parse_args()
    figure, axes = plt.subplots(layout="constrained")
    print("method        step size  last distance (median of 4 seeds)")
    for method in arguments.methods:
        runs = layerwise.run(
            f"method={method}",
            f"task.kappa_x={arguments.kappa_x}",
            f"steps={arguments.steps}",
            "record_every=log",
        )
        # The median over seeds at each step; a step size with which a seed diverges has no last one.
        distance = runs.pivot_table(
            "subspace_distance", "step", ["damping", "lr"], aggfunc=lambda v: v.median(skipna=False)
        )
        best = distance.iloc[-1].idxmin()
        axes.plot(distance.index[1:], distance[best][1:], label=f"{method}, lr = {best[1]:g}")
        print(f"{method:12s}  {best[1]:9.3g}  {distance[best].iloc[-1]:.3g}")
    axes.set(xscale="log", yscale="log", xlabel="iteration", ylabel="subspace distance")
    axes.set_title(rf"$\kappa_x = {arguments.kappa_x:g}$, medians over 4 seeds")
    axes.legend()
    if arguments.out is not None:
        figure.savefig(arguments.out, dpi=160)


if __name__ == "__main__":
    main()
