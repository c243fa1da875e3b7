"""Which records a table of the log has got lately, so that one that comes in two entries is written once.

A producer whose transaction the store has executed while the reply got lost sends its records again, as other entries. What
is remembered is what the newest files hold and nothing else: a restart forgets nothing, and all writers of a log know of
each other's records.
"""

import logging
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.errors import ArtifactError
from serving.log_writer.part_files import newest_first, read_column

MAX_FILES = 1_000  # a quiet shop's are so small that opening more of them at the start would take seconds
_log = logging.getLogger(__name__)


class RecentRecords:
    """
    Args:
      table: the folder of its days.
      id_column: what its records are known by.
      row_count: so many of the newest rows are remembered, rounded up to whole files, of which there are ``MAX_FILES`` at most.
    """

    def __init__(self, table: Path, id_column: str, row_count: int) -> None:
        self._table, self._id_column, self._row_count = table, id_column, row_count
        self._ids_of_file: dict[Path, pa.ChunkedArray] = {}

    def new_among(self, rows: pa.Table) -> pa.Table:
        """The rows whose records are neither remembered nor those of a row before them."""
        ids = rows.column(self._id_column)
        known = set(ids.filter(pc.is_in(ids, self._look())).to_pylist())
        is_new = []
        for record in ids.to_pylist():
            is_new.append(record not in known)
            known.add(record)
        return rows.filter(pa.array(is_new, pa.bool_()))

    def _look(self) -> pa.Array:
        """The ids in the newest files, of which those that were there the last time are not read again."""
        newest: dict[Path, pa.ChunkedArray] = {}
        count = 0
        for path in islice(newest_first(self._table), MAX_FILES):
            newest[path] = self._ids_of_file[path] if path in self._ids_of_file else self._read(path)
            count += len(newest[path])
            if count >= self._row_count:
                break
        self._ids_of_file = newest
        return pa.chunked_array([chunk for ids in newest.values() for chunk in ids.chunks], pa.string()).combine_chunks()

    def _read(self, path: Path) -> pa.ChunkedArray:
        try:
            return read_column(path, self._id_column)
        except ArtifactError as error:  # a record written twice is a smaller harm than none written any more
            _log.warning("%s; records that are in it are not known again", error)
            return pa.chunked_array([], pa.string())
