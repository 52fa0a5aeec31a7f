"""`layerwise page`: for folders by label or by path, one or several, and what it refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from layerwise.cli import app
from layerwise.command.page import make_page
from layerwise.settings.validation import ConfigError
from odd_results import odd_results


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd_results(tmp_path_factory.mktemp("one") / "results" / "odd").results


def test_a_page_of_a_folder_by_its_path(odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["page", str(odd), "--out", str(out), "--no-browser"])
    assert done.exit_code == 0 and f"Page: {out}" in done.output
    assert "Do the paper’s claims hold?" in out.read_text()


def test_folders_of_one_name_are_told_apart(odd: Path, tmp_path: Path) -> None:
    other = odd_results(tmp_path / "elsewhere" / "results" / "odd", shift=0.4).results
    page = make_page([str(odd), str(other)], tmp_path / "page.html").read_text()
    assert "odd of elsewhere" in page and "against" in page
    third = odd_results(tmp_path / "more" / "elsewhere" / "results" / "odd").results
    page = make_page([str(other), str(third)], tmp_path / "page.html").read_text()
    assert f"odd of {tmp_path / 'elsewhere'}" in page
    assert f"odd of {tmp_path / 'more' / 'elsewhere'}" in page


def test_a_label_without_results_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match="label = 'nothing' is not allowed.*there are"):
        make_page(["nothing"])
