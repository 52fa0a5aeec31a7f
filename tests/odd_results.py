"""Results made by hand: hostile names, infinities, NaN, undefined values, one seed, one method."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from layerwise.claims.claim import ANY, Claim, Part, at_least, at_most, between, judge
from layerwise.claims.evidence import evidence
from layerwise.claims.interval import over_seeds
from layerwise.page.folder import Folder, folder_of
from layerwise.results.files import write_json, write_record
from layerwise.results.selection import score_variants, select
from layerwise.results.summary import summarise
from layerwise.results.tables import write_table

HOSTILE = "<script>window.hacked=1</script>&\"',\\u003c${x}"
SEEDS = 5
STEPS = (0, 1, 2, 4, 8, 16)
# Which data a claim opens: a method at a step size that is not the selected one.
VIEW = "x=kappa_x&y=subspace_distance&rows=none&only=kfac&pick=0.1"
LABELS = {"kfac": HOSTILE, "sgd": "SGD", "<b>odd</b>, too": "An <i>odd</i> one"}


def odd_results(results: Path, shift: float = 0.0) -> Folder:
    """Write the folder, and read it as the page does."""
    for name, runs in {
        "several": training(["sgd", "kfac", "<b>odd</b>, too"], range(SEEDS), shift),
        "lonely": training(["kfac"], range(1), shift, problems=1),
    }.items():
        summary = summarise(runs, target=0.2)
        selection = select(score_variants(summary, "subspace_distance"))
        chosen = selection[["problem", "method", "damping", "lr"]]
        tables = {"summary": summary, "selection": selection, "traces": runs.merge(chosen)}
        for table, content in tables.items():
            write_table(content, results / name / f"{table}.parquet")
        stop_at = 0.2 if name == "lonely" else None
        record(results / name / "runs" / "all-0.parquet.json", runs, stop_at)
    write_table(one_step(shift), results / "one_step" / "runs.parquet")
    record(results / "one_step" / "runs" / "all-0.parquet.json", one_step(shift))
    question = f"What does {HOSTILE} do?"
    said = {"question": question, "select_by": "subspace_distance", "figures": {"several": HOSTILE}}
    write_json(
        {
            "scale": "quick", "overrides": [f"+method={HOSTILE}"], "labels": LABELS,
            "experiments": {
                "several": said, "lonely": said | {"figures": {}},
                "one_step": said | {"figures": {}, "select_by": None},
            },
        },
        results / "about.json",
    )  # fmt: skip
    for name, table in evidence([(claim, judge(claim, {})) for claim in claims(shift)]).items():
        write_table(table, results / f"claims{name}.parquet")
    folder = folder_of(results)
    folder.figures.mkdir(parents=True)
    Image.new("RGB", (40, 30), "white").save(folder.figures / "several.png")
    return folder


def training(methods: list[str], seeds: range, shift: float, problems: int = 2) -> pd.DataFrame:
    """Traces of two step sizes on problems that differ in κ_x: the larger step size diverges with some
    seeds of all methods but kfac's, and sgd never reaches the target."""
    rows = []
    for problem in range(problems):
        for method in methods:
            for lr in (0.1, 1.0):
                for seed in seeds:
                    lost = lr == 1.0 and method != "kfac" and seed % 2 == 0
                    for step in STEPS:
                        gone = lost and step > 4
                        value = np.exp(-step * lr * (0.01 if method == "sgd" else 0.3 + shift))
                        trained = 0.0 if step == 16 and method == "kfac" else value
                        noise = 1 + 0.01 * seed + 0.1 * problem
                        rows.append(
                            {
                                "problem": f"kappa_x-{10**problem}_x", "method": method, "lr": lr,
                                "damping": 0.0, "seed": seed, "step": step, "rule": "some.Rule",
                                "network": "plain", "kappa_x": 10.0**problem, "noise": 0.1,
                                "basis": "<i>rotated</i>", "status": "diverged" if lost else "ok",
                                "diverged_at": 8 if lost else pd.NA,
                                "subspace_distance": np.nan if gone else value * noise,
                                "train_loss": np.nan if gone else trained,
                                "outside_norm": np.nan if gone else value,
                                "alignment": np.nan if gone or step == 0 else 1 - value / 2,
                                "a new <metric>": np.nan if gone or step == 4 else value * 3,
                            }
                        )  # fmt: skip
    return pd.DataFrame(rows)


def one_step(shift: float) -> pd.DataFrame:
    """Collected rows: no selection, dampings apart, theory beside the measurement."""
    rows = [
        {
            "problem": f"kappa_x-{kappa}_y", "method": method, "lr": np.nan, "damping": damping,
            "seed": seed, "kappa_x": kappa, "d": 50,
            "alignment_direction": 0.9 - 0.1 * damping + 0.01 * seed - 0.02 * shift,
            "alignment_theory": 0.9 - 0.1 * damping, "test_error": np.nan,
        }
        for kappa in (1, 10, 100) for method, dampings in (("sgd", [0.0]), ("kfac", [0.1, 1.0]))
        for damping in dampings for seed in range(SEEDS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def record(path: Path, runs: pd.DataFrame, stop_at: float | None = None) -> None:
    """A record of what made a table."""
    cells = [
        {
            "problem": problem, "seeds": sorted(map(int, own["seed"].unique())), "wall_seconds": 1.5,
            "configuration": {
                "method": {
                    "name": method, "rule": HOSTILE, "network": "plain", "options": {"x": HOSTILE},
                    "lr": [0.1, 1.0], "damping": [],
                },
                "engine": "moments", "steps": 16, "record_every": "log", "stop_at": stop_at,
                "tune_seeds": [10, 11, 12],
                "dtype": "float64", "device": "cpu", "task": {"name": "some"},
            },
        }
        for (problem, method), own in runs.groupby(["problem", "method"])
    ]  # fmt: skip
    where = {"host": HOSTILE, "platform": "p", "python": "3", "versions": {"layerwise": "0"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record({"cells": cells, "commit": "0" * 40} | where, path)


def claims(shift: float) -> list[Claim]:
    """Claims of every verdict, with infinite and undefined statistics and bounds far apart."""

    def claim(name: str, values: list[float], threshold, partly) -> Claim:
        table = pd.DataFrame({"value": values}, index=pd.RangeIndex(len(values), name="seed"))
        of = Part(
            f"quantity of {HOSTILE}", over_seeds(lambda results: table, mean), threshold, partly
        )
        return Claim(name, f"{name} says {HOSTILE} about κ_x", "paper", (of,), "several")

    near = [0.5 + shift, 0.52, 0.55, 0.6, 0.58]
    return [
        replace(claim("C1 holds", near, at_least(0.3), at_least(0.1)), view=VIEW),
        claim("C2 partly", near, at_most(0.45), at_most(1.2)),
        claim("C3 fails", near, at_least(2.0), at_least(1.0)),
        claim("C4 infinite", [np.inf] * 5, at_most(1.0), at_most(2.0)),
        claim("C5 undefined", [np.nan] * 5, at_most(1.0), at_most(2.0)),
        claim("C6 far", [1e-9, 2e-9, 1e-9, 3e-9, 1e-9], at_most(1e-6), at_most(1e-3)),
        in_parts(claim("C7 parts", near, between(0.5, 0.7), between(0.3, 0.9)), near, claim),
        claim(f"R1 {HOSTILE}", near, at_least(0.3), at_least(0.1)),
    ]


def in_parts(first: Claim, near: list[float], claim: Callable[..., Claim]) -> Claim:
    """A claim of three parts: one between bounds, one that fails, one that decides nothing."""
    others = [claim("", near, at_most(0.1), at_most(0.2)), claim("", near, ANY, ANY)]
    return replace(first, parts=(*first.parts, *(part for one in others for part in one.parts)))


def mean(rows: pd.DataFrame) -> float:
    """The statistic of all of them."""
    return float(np.mean(rows.to_numpy()[:, 0]))
