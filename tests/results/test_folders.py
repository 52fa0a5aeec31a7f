"""Folders of results: which there are, what each is of, and that one goes without the others."""

from pathlib import Path

import pytest

from layerwise.command import results as command
from layerwise.command.results import listed, removed, to_remove
from layerwise.results.files import write_json
from layerwise.results.folders import TOLD, age_text, folders, size_text
from layerwise.settings.validation import ConfigError

SCALES, EXPERIMENTS = ["paper", "quick"], ["contraction", "spike"]
FILES = (
    "results/.gitkeep", "results/contraction/runs/kfac-0.parquet", "results/logs/claims.log",
    "results/claims.csv", "results/quick/spike/summary.parquet", "results/quick-0a1b2c3d/spike/plan.json",
    "results/paper-11111111/contraction/plan.json", "figures/.gitkeep", "figures/contraction.pdf",
    "figures/gallery/contraction.png", "figures/quick/spike.pdf", "figures/quick-0a1b2c3d/spike.pdf",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 1000)
    told = {"scale": "quick", "overrides": ["seeds=4", "task.noise=0.5"]}
    write_json(told, tmp_path / "results/quick-0a1b2c3d" / TOLD)
    return tmp_path


def left(project: Path) -> set[str]:
    found = (path.relative_to(project) for path in project.rglob("*") if path.is_file())
    return {str(path) for path in found if path.name != TOLD}


def test_every_folder_says_what_it_is_of(project):
    found = {folder.name: folder for folder in folders(project, SCALES, EXPERIMENTS)}
    assert list(found) == ["paper", "quick", "paper-11111111", "quick-0a1b2c3d"]
    assert found["paper"].overrides == () and found["quick"].overrides == ()
    assert found["quick-0a1b2c3d"].overrides == ("seeds=4", "task.noise=0.5")
    assert found["paper-11111111"].overrides is None and found["paper-11111111"].scale == "paper"
    assert found["paper"].size == 4000 and found["quick"].size == 2000
    lines = listed(project)
    assert lines[3].startswith("quick-0a1b2c3d") and lines[3].endswith(
        "seeds=4 task.noise=0.5 (spike)"
    )


@pytest.mark.parametrize(
    ("label", "gone"),
    [
        ("quick-0a1b2c3d", "quick-0a1b2c3d/"),
        ("results/quick-0a1b2c3d/", "quick-0a1b2c3d/"),
        ("paper-11111111", "paper-11111111/"),
        ("quick", "quick/"),
    ],
)
def test_a_folder_goes_with_its_figures_and_nothing_else(project, label, gone):
    before = left(project)
    said = removed(to_remove(project, label, standing=True))
    assert said.startswith(f"removed {gone.strip('/')}: ")
    assert left(project) == {name for name in before if gone not in name}
    assert left(project) < before


def test_results_without_overrides_go_alone_and_leave_what_is_committed(project):
    before = left(project)
    removed(to_remove(project, "paper", standing=True))
    gone = {FILES[1], FILES[2], FILES[3], "figures/contraction.pdf"}
    assert left(project) == before - gone


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("quick-0a1b2c3e", "is unknown, did you mean 'quick-0a1b2c3d'"),
        ("..", "the folder '..' is unknown"),
        ("gallery", "the folder 'gallery' is unknown"),
        ("paper", "it holds the results without overrides, which others read; --standing says"),
        ("quick", "--standing says that they are meant"),
    ],
)
def test_what_is_not_meant_stays(project, label, sentence):
    before = left(project)
    with pytest.raises(ConfigError, match=sentence):
        to_remove(project, label, standing=False)
    assert left(project) == before


def test_nothing_goes_while_a_pipeline_runs(project, monkeypatch):
    monkeypatch.setattr(
        command.lock, "explained", lambda _: "process 7 makes results in this folder"
    )
    with pytest.raises(
        ConfigError, match="'quick-0a1b2c3d' is not removed: process 7 makes results"
    ):
        to_remove(project, "quick-0a1b2c3d", standing=False)


def test_without_results_there_is_a_sentence(tmp_path):
    assert listed(tmp_path) == ["No results: `layerwise reproduce` makes them."]
    with pytest.raises(ConfigError, match="none, there are no results"):
        to_remove(tmp_path, "quick", standing=False)


def test_sizes_and_ages_are_for_people(monkeypatch):
    assert [size_text(n) for n in (7, 1200, 25_000, 3_400_000_000)] == [
        "7 B",
        "1.2 kB",
        "25 kB",
        "3.4 GB",
    ]
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    ages = [age_text(1_000_000.0 - seconds) for seconds in (5, 61, 7300, 90_000)]
    assert ages == ["just now", "1 minute ago", "2 hours ago", "1 day ago"]
