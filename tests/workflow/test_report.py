"""The report in a real browser without a network: it opens, names its parts, and holds whole figures."""

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from checkout import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.processes]


@pytest.fixture(scope="module")
def report(small_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The report of a small run, and the folder of its figures."""
    checkout = Checkout(tmp_path_factory.mktemp("report"), small_once)
    done = checkout.small("--report", "report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    (figures,) = checkout.folder.glob("figures/quick-*")
    return checkout.folder / "report.html", figures


def rendered(page: Path, clicks: str = "") -> str:
    """The text that Chromium shows once ``clicks``, in JavaScript, are done; no name is resolved."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "this test needs Chromium: apt-get install chromium"
    keep_text = (
        "document.body.textContent = document.body.innerText;"
        "document.querySelectorAll('script,style').forEach(part => part.remove())"
    )
    load = f"setTimeout(() => {{ {clicks} }}, 500); setTimeout(() => {{ {keep_text} }}, 2000)"
    before, after = page.read_text().rsplit("</body>", 1)
    copy = page.with_name("clicked.html")
    copy.write_text(
        f"{before}<script>addEventListener('load', () => {{ {load} }})</script></body>{after}"
    )
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("<body", 1)[1]


def test_the_front_page_opens_offline(report: tuple[Path, Path]) -> None:
    text = rendered(report[0])
    for words in (
        "A checked reproduction",
        "figures/page.html",
        "Linear representation",
        "What was run",
    ):
        assert words in text


def test_a_category_leads_to_its_figure_and_its_caption(report: tuple[Path, Path]) -> None:
    assert "contraction" in rendered(report[0], 'app.showCategory("Linear representation")')
    caption = re.search("Linear representation with d_x = 8[^<]*", report[0].read_text())
    assert caption and "2 seeds" in caption[0] and "late contraction" in caption[0]


def test_figures_are_whole(report: tuple[Path, Path]) -> None:
    """The report holds the very files of figures/."""
    page, figures = report
    for picture in figures.glob("*.png"):
        assert base64.b64encode(picture.read_bytes()).decode() in page.read_text()
