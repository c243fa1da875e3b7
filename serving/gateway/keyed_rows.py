"""A table of which one row at a time is read, by its key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

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

    def get(self, key: str) -> dict[str, Any] | None:
        row = self.row_of_key.get(key)
        return None if row is None else self.table.slice(row, 1).to_pylist()[0]
