"""Tables written part by part: what pandas would put together, in a memory that does not grow with them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise.results import growing
from layerwise.results.growing import Growing
from layerwise.results.tables import read_table, write_table

# Reduces a table as often as it is told, and says the peak of its memory.
PEAK = """
import resource, sys
from pathlib import Path
from layerwise.results.aggregate import aggregate
table, times, out = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
aggregate([table] * times, "score_of", None, out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def parts() -> list[pd.DataFrame]:
    """Of several types, one with a column more, one with a column less, one without a value in one."""
    return [
        pd.DataFrame({"x": [1, 2], "name": ["a", "b"], "at": pd.array([1, None], dtype="Int64")}),
        pd.DataFrame(
            {"x": [1.5], "name": ["c"], "at": pd.array([None], dtype="Int64"), "y": [0.1]}
        ),
        pd.DataFrame({"x": [3], "at": pd.array([4], dtype="Int64")}),
    ]


@pytest.mark.parametrize("rows", [1, 2, 50_000])
def test_it_is_what_pandas_puts_together(tmp_path: Path, monkeypatch, rows: int) -> None:
    """However many rows are written at once."""
    monkeypatch.setattr(growing, "GROUP_ROWS", rows)
    table = Growing(tmp_path, "one")
    for part in parts():
        table.append(part)
    table.write(tmp_path / "one.parquet")
    table.write(tmp_path / "one.csv")
    expected = pd.concat(parts(), ignore_index=True)
    found = read_table(tmp_path / "one.parquet")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert found.dtypes["at"] == "Int64" and found.dtypes["x"] == "float64"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "one.csv"), expected, check_dtype=False)


def test_a_change_in_it_is_seen(tmp_path: Path) -> None:
    """It has a checksum, as every table has."""
    table = Growing(tmp_path, "one")
    table.append(parts()[0])
    table.write(tmp_path / "one.parquet")
    content = bytearray((tmp_path / "one.parquet").read_bytes())
    content[20] ^= 1
    (tmp_path / "one.parquet").write_bytes(content)
    with pytest.raises(ValueError, match="does not match its checksum"):
        read_table(tmp_path / "one.parquet")


@pytest.mark.processes
def test_memory_does_not_grow_with_the_number_of_tables(tmp_path: Path) -> None:
    """Of ten times as many it takes at most a tenth more, beside Python's own."""
    shape = {"problem": ["p", "q"], "lr": np.arange(10.0), "seed": range(16), "step": range(60)}
    rows = pd.MultiIndex.from_product(shape.values(), names=list(shape)).to_frame(index=False)
    rows = rows.assign(
        method="sgd",
        stage="reporting",
        damping=0.0,
        status="ok",
        diverged_at=pd.NA,
        score_of=rows["lr"],
    )
    rows["diverged_at"] = rows["diverged_at"].astype("Int64")
    for name in "abcdefgh":
        rows[name] = rows["lr"]
    write_table(rows, tmp_path / "run.parquet")
    peaks = []
    for times in (4, 40):
        out = tmp_path / str(times)
        command = [sys.executable, "-c", PEAK, str(tmp_path / "run.parquet"), str(times), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
        assert len(read_table(out / "selection.parquet")) == 2 * times
    assert peaks[1] < 1.1 * peaks[0]
