"""The package installed from a wheel, without its checkout: what works, and what says that it needs it."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from checkout import ROOT

pytestmark = pytest.mark.processes
USE = """
import sys
import layerwise, layerwise.optim, torch
from layerwise.theory import alignment, contraction
assert layerwise.__file__.startswith(sys.prefix), layerwise.__file__
model = torch.nn.Linear(3, 2)
optimizer = layerwise.optim.KFAC(model, lr=0.1)
model(torch.ones(4, 3)).square().mean().backward()
optimizer.step()
table = layerwise.run("method=kfac", "task.d_x=8", "task.d_y=5", "task.rank=2", "seeds=1", "steps=2")
print(len(table))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel in it, and the packages of this one behind it."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    for name in ("config", "src"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    assert not (source / "src/layerwise/_config").exists()
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    (packages,) = (folder / "env/lib").glob("python*/site-packages")
    subprocess.run([*pip, "install", *offline, "--target", packages, wheel], check=True)
    behind = [path for path in sys.path if path.endswith("-packages")]
    (packages / "behind.pth").write_text("".join(f"{path}\n" for path in behind), encoding="utf-8")
    return python


def said(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [python, *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_what_needs_no_checkout_works(python: Path, tmp_path: Path) -> None:
    done = said(python, tmp_path, "-c", USE)
    assert done.returncode == 0, done.stderr
    (script,) = python.parents[1].glob("lib/*/site-packages/bin/layerwise")
    listed = said(python, tmp_path, str(script), "list")
    assert "  contraction " in listed.stdout and "  kfac_average " in listed.stdout
    done = said(python, tmp_path, "-m", "layerwise.simulate", "seeds=1", "steps=1", "out=a.parquet")
    assert done.returncode == 0, done.stderr
    made = said(
        python, tmp_path, "-m", "layerwise.cli", "new-method", "mine", "--methods-from", "own"
    )
    assert made.returncode == 0, made.stderr
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"a.parquet", "a.parquet.json", "own/mine.yaml", "own/mine.py"}


NEEDS_CHECKOUT = (
    "reproduce contraction", "explain", "new-method mine", "page --no-browser", "results",
    "results remove quick", "export contraction", "compare paper quick",
)  # fmt: skip
# Calls the command with each, and tells how it ended and what it said.
CALLS = """
import contextlib, io, json, sys
from layerwise.cli import main
for words in json.loads(sys.argv[1]):
    said, code = [io.StringIO(), io.StringIO()], 0
    sys.argv = ["layerwise", *words.split()]
    with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([words, code, *(one.getvalue() for one in said)]))
"""


def test_what_needs_the_checkout_says_so(python: Path, tmp_path: Path) -> None:
    done = said(python, tmp_path, "-c", CALLS, json.dumps(NEEDS_CHECKOUT))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [words for words, *_ in answers] == list(NEEDS_CHECKOUT), done.stderr
    for words, code, told, refused in answers:
        assert code == 2 and told == ""
        assert refused.startswith(f"error: layerwise {words.split()[0]} ")
        assert refused.count("\n") == 1
        assert "needs the project's checkout" in refused and "pip install -e ." in refused
    assert list(tmp_path.iterdir()) == []
