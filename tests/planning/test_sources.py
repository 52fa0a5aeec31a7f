"""Which edits run a job again: those of what it computes, on a copy of the package's source."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from layerwise.planning import sources
from layerwise.planning.plan import Job, plan

SOURCE = sources.PACKAGE_DIR


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the source that is read in the place of the package's."""
    ignore = shutil.ignore_patterns("__pycache__", "templates")
    shutil.copytree(SOURCE, tmp_path / "layerwise", ignore=ignore)
    monkeypatch.setattr(sources, "PACKAGE_DIR", tmp_path / "layerwise")
    return tmp_path / "layerwise"


def job(experiment: str, method: str, *overrides: str) -> Job:
    """A job, anew, so that it reads its code anew."""
    planned = replace(plan(experiment, "paper", overrides), methods_apart=True)
    return planned.jobs()[method, 0]


def codes() -> dict[str, str]:
    """The code of jobs that differ in method, spectrum, link and half of the project."""
    for cached in (sources._code_of, sources._said):
        cached.cache_clear()
    power, axis = "task.spectrum=power_law", "task.kappa_x=[3]"
    return {
        "sgd": job("contraction", "sgd").code,
        "kfac": job("contraction", "kfac").code,
        "sgd, power law": job("contraction", "sgd", power, axis).code,
        "single index": job("single_index_learning", "sgd").code,
    }


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


EVERY = {"sgd", "kfac", "sgd, power law", "single index"}
LINEAR = EVERY - {"single index"}


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("data/spectra/log.py", "kappa, 1.0, d", "kappa, 2.0, d", EVERY - {"sgd, power law"}),
        ("data/spectra/log.py", "from the largest", "from largest", set()),
        ("data/spectra/power_law.py", "** -exponent", "** -2.0", {"sgd, power law"}),
        ("data/covariance.py", "values / values.mean()", "values", EVERY),
        ("theory/links/tanh.py", "np.tanh", "np.sin", {"single index"}),
        ("theory/links/relu.py", "np.maximum", "np.minimum", set()),
        ("methods/sgd.py", "class SGD", "CHANGED = 1\n\n\nclass SGD", EVERY - {"kfac"}),
        ("methods/kfac.py", "class KFAC", "CHANGED = 1\n\n\nclass KFAC", {"kfac"}),
        ("tasks/linear_representation.py", "\ndef run(", "\nCHANGED = 1\ndef run(", LINEAR),
        ("settings/tasks/linear_representation.py", '"train_loss",', '"train_loss", "another",', set()),
        ("settings/tasks/single_index.py", "round(self.d / self.aspect_ratio)", "self.d",
         {"single index"}),
        ("figures/style.py", "WIDTH = 7.0", "WIDTH = 7.5", set()),
    ],
)  # fmt: skip
def test_an_edit_runs_what_it_concerns(
    source: Path, path: str, old: str, new: str, expected: set[str]
) -> None:
    before = codes()
    edit(source / path, old, new)
    after = codes()
    assert {name for name in before if before[name] != after[name]} == expected


def test_a_further_spectrum_and_link_concern_nobody(source: Path) -> None:
    before = codes()
    for folder, name in (("data/spectra", "log"), ("theory/links", "tanh")):
        shutil.copy(source / folder / f"{name}.py", source / folder / "another.py")
    assert codes() == before


def test_the_digest_reads_comments_and_annotations_away(source: Path) -> None:
    before = codes()
    for path in source.rglob("*.py"):
        path.write_text(f"{path.read_text()}\n# a comment\n")
    edit(
        source / "data/spectra/log.py",
        "(d: int, kappa: float) -> NDArray[np.float64]",
        "(d, kappa)",
    )
    assert codes() == before


@pytest.mark.parametrize("word", ["optimizer_packages=[torch.optim,pytorch_optimizer,mine]"])
def test_a_longer_list_of_packages_is_another_job_to_nobody(word: str) -> None:
    """A method that names an optimizer records the package that it is of, the others none."""
    usual, longer = plan("modern_optimizers", "paper"), plan("modern_optimizers", "paper", [word])
    before, after = usual.jobs(), longer.jobs()
    assert {name: one.digest for name, one in before.items()} == {
        name: one.digest for name, one in after.items()
    }
    packages = {
        cell.settings.method.name: cell.settings.optimizer_packages for cell in longer.cells
    }
    assert packages["kfac"] == [] and packages["soap"] == ["pytorch_optimizer"]


def test_an_edit_in_a_function_body_is_seen_everywhere(source: Path) -> None:
    """Each module of a job's sources counts: a statement at its end is another code."""
    graph = sources._graph()
    names = graph.find_upstream_modules("layerwise.tasks.run")
    check: Callable[[], str] = lambda: sources.code_of("layerwise.tasks.run")  # noqa: E731
    for name in sorted(names):
        path = source.joinpath(*name.split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for cached in (sources._code_of, sources._said):
            cached.cache_clear()
        before = check()
        path.write_text(f"{path.read_text()}\nCHANGED = 1\n")
        for cached in (sources._code_of, sources._said):
            cached.cache_clear()
        assert check() != before, name
