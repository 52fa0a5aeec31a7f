"""Settings of the test session: reproducible examples, one thread, double precision; and what its tests
share: checkouts in which something has run, made once and copied."""

import gc
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings
from threadpoolctl import threadpool_limits

from checkout import QUICK_EXPERIMENTS, Checkout, layerwise

settings.register_profile(
    "reproducible", derandomize=True, deadline=None, max_examples=25, database=None
)
settings.load_profile("reproducible")
torch.set_num_threads(1)
# NumPy's algebra too: the workers' threads would wait for one another.
threadpool_limits(1, user_api="blas")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests start processes come first: they are the long ones, and one of them at the end
    would be waited for by all other workers."""
    long = {item.path for item in items if item.get_closest_marker("processes")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """What is loaded by now stays, and is not looked through whenever garbage is collected."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _processes_are_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test without the marker starts no process but those by which a record says of what code it is, and
    on what machine."""
    if any(request.node.get_closest_marker(name) for name in ("processes", "browser")):
        return
    begin = subprocess.Popen.__init__

    def checked(self: subprocess.Popen, args: object, *more: object, **named: object) -> None:
        assert args[0] in ("git", "uname"), f"a test that starts {args!r} has the marker processes"
        begin(self, args, *more, **named)

    monkeypatch.setattr(subprocess.Popen, "__init__", checked)


def shared(factory: pytest.TempPathFactory) -> Path:
    """The folder of all of the session's processes."""
    folder = factory.getbasetemp()
    # The workers' own folders lie side by side.
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is kept from one process to the next starts empty, and lies in no home."""
    os.environ["XDG_CACHE_HOME"] = str(shared(tmp_path_factory) / "cache")


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Checkout]
) -> Checkout:
    """The checkout that ``make`` leaves in a folder, made by the session's first process to ask."""
    folder = shared(factory)
    folder, mark = folder / name, folder / f"{name}.made"
    with FileLock(f"{folder}.lock"):
        if not mark.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            mark.touch()
    return Checkout.standing(folder)


@pytest.fixture(scope="session")
def small_once(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the small pipeline has run, to be read and copied."""

    def make(folder: Path) -> None:
        done = Checkout(folder).small()
        assert done.returncode == 0, done.stdout + done.stderr

    return made_once(tmp_path_factory, "small once", make)


@pytest.fixture(scope="session")
def quick_once(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One in which QUICK_EXPERIMENTS were reproduced at the quick scale, to be read and copied."""

    def make(folder: Path) -> None:
        layerwise(Checkout(folder), "reproduce", *QUICK_EXPERIMENTS, "--scale", "quick")

    return made_once(tmp_path_factory, "quick once", make)
