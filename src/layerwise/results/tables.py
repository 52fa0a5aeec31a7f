"""Tables of results: their columns, and reading with a check that they are what was written."""

import hashlib
from io import BytesIO
from mmap import mmap
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.results.files import atomic_path, file_digest, unreadable

# In a Parquet file's metadata: of which form a table is, and the checksum of the file with zeros in its
# place.
SCHEMA = b"layerwise table 1 sha256 "
NO_DIGEST = b"0" * 64


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as .parquet, with its checksum, or as .csv for people, by the path's ending."""
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            table = pa.Table.from_pandas(frame, preserve_index=False)
            # By Python's own file, whose errors say what the system says.
            with temporary.open("wb") as file:
                pq.write_table(table.replace_schema_metadata(marked(table.schema).metadata), file)
            seal(temporary)
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


def marked(schema: pa.Schema) -> pa.Schema:
    """The schema of a table that is to be sealed."""
    return schema.with_metadata((schema.metadata or {}) | {b"layerwise": SCHEMA + NO_DIGEST})


def seal(path: Path) -> None:
    """Put a file's checksum in its place, once the file is written. Its width is fixed."""
    digest = file_digest(path).encode()
    with path.open("r+b") as file, mmap(file.fileno(), 0) as content:
        start = content.rfind(SCHEMA + NO_DIGEST) + len(SCHEMA)
        content[start : start + len(NO_DIGEST)] = digest


def _from_parquet(content: bytes) -> pd.DataFrame:
    """Arrow sees a file only once its checksum is right."""
    start = content.rfind(SCHEMA) + len(SCHEMA)
    if start < len(SCHEMA):
        raise ValueError("it is empty, cut short, or of another program or version")
    end = start + len(NO_DIGEST)
    view = memoryview(content)
    digest = hashlib.sha256(view[:start])
    digest.update(NO_DIGEST)
    digest.update(view[end:])
    if content[start:end] != digest.hexdigest().encode():
        raise ValueError("its content does not match its checksum")
    return pq.read_table(BytesIO(content)).to_pandas()
