"""Time the engines, their scaling and their floor: results/benchmarks/*.csv and two figures."""

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from layerwise.benchmark import pipeline, run
from layerwise.benchmark.scaling import SECOND_ORDER
from layerwise.benchmark.sizes import FULL, METHODS, QUICK
from layerwise.figures import render
from layerwise.planning.compose import compose_config
from layerwise.results.tables import write_table

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
FIGURES = {"benchmark": ["engines", "scaling"], "step_time": ["second_order"]}
LABELS = {
    name: str(compose_config([f"method={name}"]).method.label) for name in {*METHODS, *SECOND_ORDER}
}
KEYS = ["threads", "cores", "dtype", "method", "engine", "axis", "value", "quantity"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it runs")
    parser.add_argument("--rounds", type=int, help="each has every contender once")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--pipeline", type=int, nargs="?", const=1, metavar="ROUNDS",
                        help="time the quick pipeline too, minutes a round")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path(), help="where results/ and figures/ are")
    arguments = parser.parse_args()
    sizes, label = (QUICK, "quick") if arguments.quick else (FULL, "")
    if arguments.rounds:
        sizes = replace(sizes, rounds=arguments.rounds)
    device = "" if arguments.device == "cpu" else arguments.device
    folder = arguments.out / "results" / label / "benchmarks" / device
    tables = run(sizes, arguments.device, folder)
    figures = arguments.out / "figures" / label / device
    for figure, names in FIGURES.items():
        drawn = {name: tables[name] for name in names}
        render(figure, drawn, LABELS, figures / f"{figure}.pdf")
    if arguments.pipeline:
        tables["pipeline"] = pipeline.measure(arguments.pipeline)
        write_table(tables["pipeline"], folder / "pipeline.csv")
    for name, table in tables.items():
        print(f"\n{folder / name}.csv\n{summary(table)}")


def summary(table: pd.DataFrame) -> str:
    """Its ratios, or all of it where it has none."""
    chosen = table[table["unit"] == "1"] if "1" in set(table["unit"]) else table
    columns = [*table.columns.intersection(KEYS), "median", "low", "high"]
    return chosen[columns].to_string(index=False, float_format="{:.3g}".format)


if __name__ == "__main__":
    main()
