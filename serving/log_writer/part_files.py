"""The files of the log's tables: which ids their names bound, and what a column of theirs holds."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import ArtifactError
from serving.log_writer.stream_id import StreamId, parsed

PARTS = "part-*.parquet"


def bounds(path: Path) -> tuple[StreamId, StreamId]:
    """The ids of a file's first and last entry."""
    first, last = map(parsed, path.stem.removeprefix("part-").split("_"))
    return first, last


def newest_first(table: Path) -> Iterator[Path]:
    """The files of a table, those of a later day before those of an earlier one."""
    for day in sorted(table.glob("day=*"), reverse=True):
        yield from sorted(day.glob(PARTS), key=bounds, reverse=True)


def read_column(path: Path, name: str) -> pa.ChunkedArray:
    """
    Raises:
      ArtifactError: the file cannot be read.
    """
    try:
        return pq.ParquetFile(path).read([name]).column(name)
    except (OSError, pa.ArrowException) as error:  # a page that is damaged is an OSError
        raise ArtifactError(
            f"{path}: cannot be read ({error}), so that what it holds is not known; bring it back, or move it away, whereupon "
            "entries that are still in the stream are written again"
        ) from error
