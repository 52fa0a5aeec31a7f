"""Broken, foreign and hostile files: refused by name in one sentence, never read as other numbers."""

import math
import pickle
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import problem
from layerwise.data.instances import Instances, draw, load, save
from layerwise.results.files import FileError, read_record, write_json, write_record
from layerwise.results.pages import runs_page
from layerwise.results.tables import SCHEMA, read_table, write_table

TABLE = pd.DataFrame(
    {
        "method": ["sgd", "kfac", "kfac"],
        "lr": [0.1, 1 / 3, 1e-300],
        "seed": [0, 1, 2],
        "excess_loss": [np.pi, np.nan, np.inf],
        "status": ["ok", "diverged", "ok"],
    }
)


def refusal(read, *arguments) -> str:
    """The sentence of a refusal."""
    with pytest.raises(FileError) as caught:
        read(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence and "remove it with `rm " in sentence
    return sentence


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "runs.parquet"
    write_table(TABLE, path)
    return path


def test_a_table_gives_back_the_same_bits(table):
    pd.testing.assert_frame_equal(read_table(table), TABLE, check_exact=True)


def test_other_programs_read_our_tables(table):
    """The checksum lies where Parquet has room for it."""
    pd.testing.assert_frame_equal(pd.read_parquet(table), TABLE)
    assert pq.read_schema(table).metadata[b"layerwise"].startswith(SCHEMA)


def test_a_table_with_any_bit_flipped_is_refused(table):
    """At 250 places from the first byte to the last, footer and metadata among them."""
    content = table.read_bytes()
    for position in np.linspace(0, len(content) - 1, 250).astype(int).tolist():
        broken = bytearray(content)
        broken[position] ^= 1 << position % 8
        table.write_bytes(broken)
        assert "runs.parquet is not a readable table" in refusal(read_table, table)


def test_a_table_cut_short_anywhere_is_refused(table):
    content = table.read_bytes()
    for length in range(0, len(content), 13):
        table.write_bytes(content[:length])
        assert "runs.parquet is not a readable table" in refusal(read_table, table)


def test_a_table_with_more_behind_it_is_refused(table):
    with table.open("ab") as file:
        file.write(b"more")
    assert "does not match its checksum" in refusal(read_table, table)


@pytest.mark.parametrize("content", ["foreign", "older", "text"])
def test_a_table_of_another_program_or_version_is_refused(table, content):
    if content == "foreign":
        TABLE.to_parquet(table)
    elif content == "older":
        table.write_bytes(table.read_bytes().replace(SCHEMA, SCHEMA.replace(b"1", b"0")))
    else:
        table.write_text("lr,seed\n0.1,0\n")
    assert "of another program or version" in refusal(read_table, table)


def test_a_missing_table_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "runs.parquet")


def test_a_table_without_a_column_is_refused(table):
    assert "it lacks the columns rank" in refusal(read_table, table, ("lr", "rank"))


def test_a_flipped_bit_never_gives_other_instances(tmp_path):
    """Headers too: a smaller shape there would leave the rest of the array unread. Bits that mean
    nothing to the arrays, such as a date, may differ."""
    path, drawn = tmp_path / "instances.npz", draw(problem(d_x=68), [0, 1])
    save({"a": drawn}, path)
    content = path.read_bytes()
    start = content.index(b"a/eigenvectors_transfer.npy")
    spread = np.linspace(0, len(content) - 1, 150).astype(int).tolist()
    refused = 0
    for position in [*range(start, start + 200), *spread]:
        broken = bytearray(content)
        broken[position] ^= 1 << position % 8
        path.write_bytes(broken)
        try:
            loaded = load(path, "a")
        except FileError:
            refused += 1
            continue
        for field in fields(Instances):
            assert np.array_equal(getattr(loaded, field.name), getattr(drawn, field.name))
    assert refused > 300


RECORD = {"cells": [{"lr": 0.1, "wall_seconds": math.nan}], "host": "h", "versions": {"numpy": "2"}}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "runs.parquet.json"
    write_record(RECORD, path)
    return path


def test_a_record_gives_back_what_was_written(record):
    assert str(read_record(record)) == str(RECORD)  # which has a NaN, that equals nothing


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\xff", 100_000 * "["])
def test_a_broken_record_is_refused(record, content):
    record.write_bytes(content.encode("latin-1"))
    assert "runs.parquet.json is not a readable record" in refusal(runs_page, [record])


def test_a_record_of_another_program_or_version_is_refused(record):
    """One without a checksum, as earlier versions wrote it."""
    write_json(RECORD, record)
    assert "of another program or version" in refusal(read_record, record)


def test_a_record_cut_short_anywhere_is_refused(record):
    content = record.read_bytes()
    for length in range(len(content) - 1):  # the last character is the line's end
        record.write_bytes(content[:length])
        refusal(read_record, record)


def test_a_flipped_bit_never_gives_another_record(record):
    """Every bit of it. Those of blanks between the values may change nothing."""
    content = record.read_bytes()
    refused = 0
    for bit in range(8 * len(content)):
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << bit % 8
        record.write_bytes(broken)
        try:
            assert str(read_record(record)) == str(RECORD)
        except FileError:
            refused += 1
    assert refused > 7 * len(content)


class Payload:
    """What a pickle of it runs when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def hostile_parquet(payload: bytes) -> pa.Table:
    """A table whose schema offers a pickle wherever Arrow or pandas might load one."""
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": payload,
    }
    field = pa.field("lr", pa.float64(), metadata=extension)
    return pa.table([pa.array([0.1])], schema=pa.schema([field], metadata={b"pandas": payload}))


def test_a_hostile_file_runs_nothing(tmp_path, monkeypatch):
    """Pickles in a Parquet file, in an instance file and in a record are never loaded, not even where
    the file's checksum is right."""
    mark = tmp_path / "mark"
    payload = pickle.dumps(Payload(mark))
    table, instances = tmp_path / "runs.parquet", tmp_path / "instances.npz"

    pq.write_table(hostile_parquet(payload), table)
    refusal(read_table, table)
    from_pandas = SimpleNamespace(
        from_pandas=lambda frame, preserve_index: hostile_parquet(payload)
    )
    monkeypatch.setattr("layerwise.results.tables.pa", SimpleNamespace(Table=from_pandas))
    write_table(TABLE, table)
    refusal(read_table, table)

    hostile = np.empty(2, dtype=object)
    hostile[0] = Payload(mark)
    np.savez(instances, **{f"a/{field.name}": hostile for field in fields(Instances)})
    refusal(load, instances, "a")
    instances.write_bytes(payload)
    refusal(load, instances, "a")
    (tmp_path / "runs.parquet.json").write_bytes(payload)
    refusal(runs_page, [tmp_path / "runs.parquet.json"])

    assert not mark.exists()
    pickle.loads(payload)
    assert mark.exists()  # the payload works: it was not loaded
