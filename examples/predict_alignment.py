"""How well will one step align with the target's direction, and what does damping buy?

The limit of Theorem 3.9 (arXiv 2502.01763) beside the network's own step on data of that kind.

    python examples/predict_alignment.py
"""

import argparse

import layerwise
from layerwise.data.covariance import spectrum
from layerwise.theory.alignment import optimal_damping, predicted_alignment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d", type=int, default=200, help="input dimension")
    parser.add_argument("--ratio", type=float, default=0.25, help="d/n")
    parser.add_argument("--kappa", type=float, default=100.0, help="condition number of the inputs")
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    d, n = arguments.d, round(arguments.d / arguments.ratio)
    law = (spectrum("log", d, arguments.kappa), d / n, "tanh", 0.1)
    best, alignment = optimal_damping(*law)
    print(f"d = {d}, n = {n}, kappa = {arguments.kappa:g}")
    print(f"KFAC's best damping is {best:.3g}, with a limiting alignment of {alignment:.3f}\n")
    print("method  damping  predicted  simulated")
    for method, dampings in (("sgd", []), ("kfac", [0.01, float(best), 1.0, 100.0])):
        table = layerwise.run(
            "task=single_index",
            f"method={method}",
            "method.lr=[1.0]",
            f"method.damping={dampings}",
            f"task.d={d}",
            f"task.width={d}",
            f"task.aspect_ratio={arguments.ratio}",
            f"task.kappa_x={arguments.kappa}",
            "task.link=tanh",
            "task.noise=0.1",
            "task.metrics=[alignment_direction]",
            f"seeds={arguments.seeds}",
            "steps=1",
        )
        simulated = table[table["step"] == 1].groupby("damping")["alignment_direction"].mean()
        for damping, mean in simulated.items():
            predicted = float(predicted_alignment(method, *law, damping=damping))
            print(f"{method:6s}  {damping:7.3g}  {predicted:9.3f}  {mean:9.3f}")


if __name__ == "__main__":
    main()
