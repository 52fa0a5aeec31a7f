"""The commit that records name is that of the repository that tracks the package's own files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from layerwise.results import commit as module
from layerwise.results.commit import commit

pytestmark = pytest.mark.processes
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def enclosing(tmp_path: Path) -> Path:
    """A repository of something else, with a copy of the package's folder in it."""
    (tmp_path / "notes.txt").write_text("something else")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "--quiet", "-m", "notes")
    (tmp_path / "copy").mkdir()
    shutil.copy(module.__file__, tmp_path / "copy")
    return tmp_path


def test_a_copy_within_another_repository_has_no_commit(enclosing):
    assert commit(enclosing / "copy") is None


def test_a_copy_that_a_repository_tracks_has_its_commit(enclosing):
    git(enclosing, "add", "copy")
    git(enclosing, "commit", "--quiet", "-m", "a copy")
    head = git(enclosing, "rev-parse", "HEAD")
    assert commit(enclosing / "copy") == head
    (enclosing / "notes.txt").write_text("changed")
    assert commit(enclosing / "copy") == f"{head}-dirty"


def test_where_git_is_told_of_another_repository_the_commit_is_the_own(enclosing, monkeypatch):
    own = commit()
    monkeypatch.setenv("GIT_DIR", str(enclosing / ".git"))
    assert commit() == own


def test_outside_of_all_repositories_there_is_none(tmp_path):
    assert commit(tmp_path) is None
