"""A table of which one row at a time is read, by its key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pyarrow as pa


@dataclass(frozen=True)
class KeyedRows:
    """Attributes: row_of_key: made once, as that takes seconds for millions of rows."""

    table: pa.Table
    row_of_key: Mapping[str, int]

    @classmethod
    def of(cls, table: pa.Table, key: str) -> Self:
        """Args: key: the column whose values are the keys, each once."""
        return cls(table, {value: row for row, value in enumerate(table.column(key).to_pylist())})

    def get(self, key: str) -> dict[str, pa.Scalar] | None:
        """The row by column, not yet made into Python's objects: of a long list that takes most of a request's time."""
        row = self.row_of_key.get(key)
        return None if row is None else {name: self.table.column(name)[row] for name in self.table.column_names}
