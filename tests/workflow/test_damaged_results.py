"""Files in results/ that were damaged after they were made: refused by name before anything is drawn
from them, and made anew by the command that the refusal names."""

import re
import shlex
import subprocess
from collections.abc import Callable
from itertools import product

import pandas as pd
import pytest

from checkout import NO_PAGE, Checkout, only


def flipped(content: bytes) -> bytes:
    """One bit in the middle is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def truncated(content: bytes) -> bytes:
    return content[: 2 * len(content) // 3]


def emptied(content: bytes) -> bytes:
    return b""


def foreign(content: bytes) -> bytes:
    """What another program would have written there. (Before an archive it may write what it likes.)"""
    return b"GIF89a" + bytes(len(content))


FILES = (
    "instances/0.npz", "runs/kfac-0.parquet", "runs/kfac-0.parquet.json", "summary.parquet",
    "scores.parquet", "selection.parquet", "traces.parquet",
)  # fmt: skip
DAMAGES = (flipped, truncated, emptied, foreign)
CASES = list(product(FILES, DAMAGES))
USUAL = [
    ("instances/0.npz", flipped),
    ("runs/kfac-0.parquet", truncated),
    ("runs/kfac-0.parquet.json", emptied),
    ("selection.parquet", foreign),
]


pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def finished(
    small_once: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkout, dict[str, pd.DataFrame]]:
    """A checkout in which the small pipeline has run, and its tables."""
    return Checkout(tmp_path_factory.mktemp("damage"), small_once), small_once.tables()


def figures(checkout: Checkout) -> dict[str, bytes]:
    folder = only(checkout.folder, "figures/quick-*")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "damage"),
    [*USUAL, *(pytest.param(*one, marks=pytest.mark.slow) for one in CASES if one not in USUAL)],
)
def test_a_damaged_result_is_refused_and_made_anew(
    finished, name: str, damage: Callable[[bytes], bytes]
) -> None:
    checkout, expected = finished
    path = only(checkout.folder, "results/quick-*/contraction") / name
    drawn = figures(checkout)
    path.write_bytes(damage(path.read_bytes()))

    refused = checkout.small()
    assert refused.returncode == 1
    (sentence, *_) = re.findall(r"^ *error: (.*)$", refused.stderr, re.MULTILINE)
    assert f"{path.name} is not a readable" in sentence
    assert figures(checkout).items() <= drawn.items()  # what depends on it may be gone, not other

    command = re.search("remove it with `(.*?)`", sentence)[1]
    subprocess.run(shlex.split(command), cwd=checkout.folder, check=True)
    done = checkout.small(*NO_PAGE)
    assert done.returncode == 0, done.stdout + done.stderr
    found = checkout.tables()
    assert found.keys() == expected.keys()
    for table in expected:
        pd.testing.assert_frame_equal(found[table], expected[table], check_exact=True)
