"""Folders of results for the page: one of the whole pipeline, and one made by hand of all that is odd."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from checkout import Checkout
from layerwise.page.document import write
from layerwise.page.folder import Folder, folder_of
from odd_results import odd_results

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Browsing:
    """A page in Chromium without a network, and what it said and asked for."""

    page: object
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def visit(self, file: Path, address: str = "", milliseconds: int = 20_000) -> None:
        """Open an address afresh, and wait until it is drawn."""
        self.page.goto("about:blank")
        self.page.goto(file.as_uri() + address)
        self.settle(milliseconds)

    def settle(self, milliseconds: int = 20_000) -> None:
        """Wait until all is drawn."""
        self.page.wait_for_selector("body[data-ready]", timeout=milliseconds)
        self.page.wait_for_selector(
            "#chart:not([aria-busy=true])", state="attached", timeout=milliseconds
        )

    def download(self, selector: str) -> Path:
        """The file that a click on a control saves."""
        with self.page.expect_download() as waiting:
            self.page.locator(selector).first.click()
        return Path(waiting.value.path())


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def browsing(chromium) -> Iterator[Browsing]:
    """A desktop's window. Whatever the console says in a test fails it, as does any request."""
    context = chromium.new_context(
        viewport={"width": 1400, "height": 1000}, offline=True, accept_downloads=True
    )
    state = Browsing(context.new_page())
    state.page.on("console", lambda message: state.said.append(message.text))
    state.page.on("pageerror", lambda error: state.said.append(str(error)))
    state.page.on("request", lambda request: state.asked.append(request.url))
    yield state
    context.close()
    assert not state.said
    assert not [
        url for url in state.asked if not url.startswith(("file:", "data:", "blob:", "about:"))
    ]


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The quick scale's results, all experiments; PAGE_RESULTS names a folder that is there already."""
    if made := os.environ.get("PAGE_RESULTS"):
        return folder_of(Path(made))
    checkout = Checkout(tmp_path_factory.mktemp("page"))
    checkout.edit("config/scale/quick.yaml", "jobs_of: method", "jobs_of: experiment")
    done = checkout.snakemake("--config", "scale=quick")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder_of(checkout.folder / "results" / "quick")


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return odd_results(tmp_path_factory.mktemp("odd") / "results" / "odd")


@pytest.fixture(scope="session")
def page(reproduced: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the reproduced results."""
    out = tmp_path_factory.mktemp("pages") / "page.html"
    write([reproduced], out)
    return out


@pytest.fixture(scope="session")
def odd_page(odd: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the odd results."""
    out = tmp_path_factory.mktemp("pages") / "odd.html"
    write([odd], out)
    return out


@pytest.fixture(scope="session")
def pair_page(odd: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the odd results and of others like them, with another seed's noise."""
    other = odd_results(tmp_path_factory.mktemp("other") / "results" / "other", shift=0.4)
    out = tmp_path_factory.mktemp("pages") / "pair.html"
    write([odd, other], out)
    return out
