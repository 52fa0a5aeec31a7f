"""How well will one step align with the target's direction, and what does damping buy?

The limit of Theorem 3.9 (arXiv 2502.01763) beside the network's own step on data of that kind.

    python examples/predict_alignment.py
"""

import argparse

import numpy as np

from layerwise.data.covariance import spectrum
from layerwise.data.single_index import OneStepProblem
from layerwise.tasks.single_step import run_one_step
from layerwise.theory.alignment import optimal_damping, predicted_alignment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d", type=int, default=200, help="input dimension")
    parser.add_argument("--ratio", type=float, default=0.25, help="d/n")
    parser.add_argument("--kappa", type=float, default=100.0, help="condition number of the inputs")
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    problem = OneStepProblem(
        d=arguments.d,
        aspect_ratio=arguments.ratio,
        width=arguments.d,
        kappa_x=arguments.kappa,
        spectrum="log",
        basis="rotated",
        link="tanh",
        activation="relu",
        noise=0.1,
        readout_scale=0.05,
    )
    eigenvalues = spectrum("log", problem.d, problem.kappa_x)
    law = (eigenvalues, problem.d / problem.n, problem.link, problem.noise)
    best, alignment = optimal_damping(*law)
    print(f"d = {problem.d}, n = {problem.n}, kappa = {problem.kappa_x:g}")
    print(f"KFAC's best damping is {best:.3g}, with a limiting alignment of {alignment:.3f}\n")
    print("method  damping  predicted  simulated")
    for method, dampings in (("sgd", []), ("kfac", [0.01, float(best), 1.0, 100.0])):
        columns = run_one_step(problem, method, dampings, [], range(arguments.seeds))
        damping, measured = np.array(columns["damping"]), np.array(columns["alignment_direction"])
        for value in np.unique(damping):
            predicted = float(predicted_alignment(method, *law, damping=value))
            simulated = measured[damping == value].mean()
            print(f"{method:6s}  {value:7.3g}  {predicted:9.3f}  {simulated:9.3f}")


if __name__ == "__main__":
    main()
