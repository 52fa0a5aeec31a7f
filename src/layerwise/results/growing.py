"""Tables written part by part, so that memory holds a part and not the table. No torch."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.results.files import atomic_path
from layerwise.results.tables import marked, seal

# Rows that are written together, as a group of the file: groups of a few rows would make its index long.
GROUP_ROWS = 50_000


class Growing:
    """A table whose parts come one after the other, and lie in ``folder``, hidden, until it is written.

    Its columns are those of all parts, as pandas.concat has them: empty where a part lacks one, of a type
    that holds all values.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._schemas: list[pa.Schema] = []

    def append(self, rows: pd.DataFrame) -> None:
        """Add rows at the end."""
        table = pa.Table.from_pandas(rows, preserve_index=False)
        with (
            atomic_path(self._path(len(self._schemas))) as temporary,
            temporary.open("wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
        self._schemas.append(table.schema)

    def write(self, path: Path) -> None:
        """Write all rows as one table, .parquet with its checksum or .csv for people, whole or not at
        all."""
        with atomic_path(path) as temporary:
            if path.suffix == ".csv":
                for place, rows in enumerate(self._groups()):
                    rows.to_pandas().to_csv(
                        temporary, index=False, mode="a" if place else "w", header=not place
                    )
                return
            with (
                temporary.open("wb") as file,
                pq.ParquetWriter(file, marked(self._schema())) as writer,
            ):
                for rows in self._groups():
                    writer.write_table(rows)
            seal(temporary)

    def _path(self, part: int) -> Path:
        return self._folder / f"{self._name}-{part}.arrow"

    def _schema(self) -> pa.Schema:
        return pa.unify_schemas(self._schemas, promote_options="permissive")

    def _groups(self) -> Iterator[pa.Table]:
        """The rows in the common schema, in groups of about GROUP_ROWS."""
        empty = self._schema().empty_table()
        held, count = [empty], 0
        for part in range(len(self._schemas)):
            with pa.ipc.open_file(str(self._path(part))) as reader:
                held.append(reader.read_all())
            count += held[-1].num_rows
            if count >= GROUP_ROWS:
                yield pa.concat_tables(held, promote_options="permissive")
                held, count = [empty], 0
        yield pa.concat_tables(held, promote_options="permissive")
