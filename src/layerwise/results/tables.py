"""Tables of results: their columns, and reading with a check that they are what was written."""

import hashlib
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.results.files import atomic_path, unreadable

# In a Parquet file's metadata: of which form a table is, and the checksum of all the file's other bytes.
SCHEMA = b"layerwise table 1 sha256 "
NO_DIGEST = b"0" * 64


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as .parquet, with its checksum, or as .csv for people, by the path's ending."""
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            temporary.write_bytes(_parquet(frame))
        else:
            frame.to_csv(temporary, index=False)


def read_table(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a .parquet table. Raises FileError when it is not whole, is not of this program, or lacks
    one of ``columns``."""
    content = path.read_bytes()
    try:
        frame = _from_parquet(content)
    except Exception as error:  # Arrow raises several kinds
        raise unreadable(path, "table", error) from error
    missing = [column for column in columns if column not in frame]
    if missing:
        raise unreadable(path, "table", f"it lacks the columns {', '.join(missing)}")
    return frame


def _parquet(frame: pd.DataFrame) -> bytes:
    """The file's bytes. The checksum has a fixed width, and is taken with zeros in its place."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = table.schema.metadata | {b"layerwise": SCHEMA + NO_DIGEST}
    stream = BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), stream)
    before, _, after = stream.getvalue().rpartition(SCHEMA + NO_DIGEST)
    return before + SCHEMA + _digest(before, after) + after


def _from_parquet(content: bytes) -> pd.DataFrame:
    """Arrow sees a file only once its checksum is right."""
    before, mark, rest = content.rpartition(SCHEMA)
    if not mark:
        raise ValueError("it is empty, cut short, or of another program or version")
    if rest[:64] != _digest(before, rest[64:]):
        raise ValueError("its content does not match its checksum")
    return pq.read_table(BytesIO(content)).to_pandas()


def _digest(before: bytes, after: bytes) -> bytes:
    return hashlib.sha256(before + SCHEMA + NO_DIGEST + after).hexdigest().encode()
