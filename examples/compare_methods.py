"""Iterations that methods of the configuration need on a problem of your own, each at its best step size.

python examples/compare_methods.py --kappa-x 300 sgd adam kfac muon
"""

import argparse

from layerwise.data.instances import draw
from layerwise.planning.compose import compose_config, settings_of
from layerwise.results.selection import chosen_runs, score_variants, select, summarise
from layerwise.tasks.linear_representation import simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=["sgd", "adam", "kfac"])
    parser.add_argument(
        "--kappa-x", type=float, default=100.0, help="condition number of the inputs"
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--target", type=float, default=0.1, help="subspace distance to reach")
    arguments = parser.parse_args()
    print("method        step size  iterations (median of 4 seeds)")
    for method in arguments.methods:
        overrides = [
            f"method={method}",
            f"task.kappa_x={arguments.kappa_x}",
            "task.noise=0.01",
            f"steps={arguments.steps}",
            "record_every=log",
            f"stop_at={arguments.target}",
        ]
        settings = settings_of(compose_config(overrides))
        runs = simulate(settings, draw(settings.task, settings.seeds)).assign(problem="mine")
        summary = summarise(runs, arguments.target)
        chosen = select(score_variants(summary, "steps_to_target"))
        iterations = chosen_runs(summary, chosen)["steps_to_target"].median()
        note = "  (at the edge of its grid)" if chosen["lr_at_edge"].item() else ""
        print(f"{method:12s}  {chosen['lr'].item():9.3g}  {iterations:g}{note}")


if __name__ == "__main__":
    main()
