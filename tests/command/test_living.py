"""Living with results: two reproductions of a small experiment are exported, compared and removed."""

import io
import json
import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from checkout import NO_PAGE, Checkout, layerwise, only
from layerwise.results.files import canonical

pytestmark = pytest.mark.processes

SMALL = ("contraction", "--scale", "quick", "steps=20", "task.d_x=8", "task.d_y=5", "task.rank=2",
         "task.batch_size=32")  # fmt: skip
# Of the two reproductions, with as many seeds.
FIVE, THREE = ("seeds=5", "method.sgd.lr=[0.03]"), ("seeds=3",)


@pytest.fixture(scope="module")
def checkout(small_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Of three seeds, and of five with another step size."""
    made = Checkout(tmp_path_factory.mktemp("living"), small_once)
    layerwise(made, "reproduce", *SMALL, *FIVE, "--", *NO_PAGE)
    return made


def labels(checkout: Checkout) -> tuple[str, str]:
    """Of the five seeds, and of the three."""
    found = {}
    for path in (checkout.folder / "results").glob("quick-*/settings.json"):
        found["seeds=5" in json.loads(path.read_text())["overrides"]] = path.parent.name
    return found[True], found[False]


def test_folders_are_listed_and_the_same_in_another_spelling_is_done(checkout):
    said = layerwise(checkout, "results")
    for label, seeds in zip(labels(checkout), ("seeds=5", "seeds=3"), strict=True):
        (line,) = [line for line in said.splitlines() if line.startswith(label)]
        assert seeds in line and "steps=20" in line and line.endswith("(contraction)")
    again = ("seeds=[0,1,2]", "+steps=2_0", "task.d_x=[8]", *SMALL[5:])
    done = layerwise(checkout, "reproduce", *SMALL[:3], *again)
    assert "Nothing to be done" in done and f"results/{labels(checkout)[1]}," in done


def test_an_archive_opens_without_the_project(checkout, tmp_path):
    out = tmp_path / "shared.zip"
    layerwise(checkout, "export", *SMALL, *THREE, "--out", str(out))
    first = out.read_bytes()
    layerwise(checkout, "export", *SMALL, "seeds=[0,1,2]", "--out", str(out))
    assert out.read_bytes() == first
    with zipfile.ZipFile(out) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert all(name.startswith("contraction/") for name in files)
    for table in ("summary", "scores", "selection", "traces"):
        text, binary = (files[f"contraction/tables/{table}.{kind}"] for kind in ("csv", "parquet"))
        rows = pd.read_csv(io.BytesIO(text))
        assert len(rows) == len(pd.read_parquet(io.BytesIO(binary))) > 0
    for kind in ("pdf", "png", "csv"):
        assert files[f"contraction/figures/contraction.{kind}"]
    records = [json.loads(files[name]) for name in files if "/records/" in name]
    assert {cell["configuration"]["steps"] for record in records for cell in record["cells"]} == {
        20
    }
    versions = json.loads(files["contraction/versions.json"])
    assert canonical(versions[0]["versions"]) == canonical(records[0]["versions"])
    readme = files["contraction/README.md"].decode()
    assert "layerwise reproduce contraction seeds=" in readme and "--scale quick" in readme
    assert os.fspath(checkout.folder) not in readme


def test_what_was_not_made_is_not_exported(checkout, tmp_path):
    out = tmp_path / "none.zip"
    said = layerwise(checkout, "export", *SMALL, "seeds=6", "--out", str(out), code=2)
    assert "contraction is not exported: results/quick-" in said
    assert "is missing, `layerwise reproduce contraction seeds=6" in said
    assert "export takes one experiment" in layerwise(checkout, "export", *SMALL, "spike", code=2)
    assert "did you mean 'contraction'?" in layerwise(checkout, "export", "contracton", code=2)
    assert "allowed is a .zip file" in layerwise(
        checkout, "export", *SMALL, "--out", "a.tar", code=2
    )
    assert not out.exists()


def test_a_comparison_says_settings_choices_and_metrics_on_the_shared_seeds(checkout):
    said = layerwise(checkout, "compare", *labels(checkout))
    lines = said.splitlines()
    assert "  setting  sgd: seeds = [0, 1, 2, 3, 4] in A, [0, 1, 2] in B" in lines
    choices = [line for line in lines if line.startswith("  choice")]
    assert choices
    assert all(" 0.03 in A, " in line for line in choices)
    metrics = [line for line in lines if line.startswith("  metric")]
    assert metrics and all(" sgd on " in line and line.endswith("over 3 seeds") for line in metrics)
    runs = {
        label: pd.read_parquet(checkout.folder / f"results/{label}/contraction/traces.parquet")
        for label in labels(checkout)
    }
    last = [table[(table["method"] == "sgd") & (table["step"] == 20)] for table in runs.values()]
    problem = metrics[0].split(" on ")[1].split(":")[0]
    metric = next(name for name in ("subspace_distance", "outside_norm") if name in metrics[0])
    a, b = (
        rows[rows["problem"].str.startswith(problem + "_")].set_index("seed")[metric]
        for rows in last
    )
    assert f"{a[b.index].mean():.4g} in A, {b.mean():.4g} in B" in metrics[0]
    assert f"{(b - a[b.index]).mean():+.3g} [" in metrics[0]


def test_the_same_folder_twice_does_not_differ(checkout):
    label = labels(checkout)[0]
    assert layerwise(checkout, "compare", label, label).splitlines()[-1] == "  the same"
    assert "did you mean" in layerwise(checkout, "compare", label, f"{label[:-1]}x", code=2)


def test_a_removed_folder_is_gone_and_made_again(checkout: Checkout, tmp_path: Path) -> None:
    copy = Checkout(tmp_path, checkout)
    label, other = labels(copy)
    said = layerwise(copy, "results", "remove", label, "--yes")
    assert said.startswith(f"removed {label}: ")
    assert not (copy.folder / "results" / label).exists()
    assert not (copy.folder / "figures" / label).exists()
    assert only(copy.folder, "results/quick-*").name == other
    assert "it was not run yet" in layerwise(copy, "explain", *SMALL, *FIVE)
