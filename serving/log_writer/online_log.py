"""The online log on disk: Parquet files of the stream's entries, each entry in them exactly once.

    online-log/events/day=2026-01-31/part-<first id>_<last id>.parquet    what Ingest reads
    online-log/shown/day=2026-01-31/part-<first id>_<last id>.parquet     the lists, with scores and features
    online-log/rejects/day=2026-01-31/part-<first id>_<last id>.parquet   what is no record

The day is the UTC day on which an entry came into the stream, so that a day that is over gets no more files, however late
its events were told of; Ingest sorts them by their own time.

An entry is in the log if its id is in a file, and nowhere else is that written down: a crash at any moment leaves nothing to
mend. Names bound the ids in a file, so that only those that could hold an entry are looked into, which are none as long as
one writer goes forward. Writers of one log take turns by a lock, which the file system must honour between machines. A log
belongs to one stream: ids of two could be equal.

A record that came a short while before in another entry is not written again; the entry that repeats it is in no file.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import ServingError
from components.schema.events import MS_PER_DAY, day_name
from components.storage.durable import sync
from serving.log_writer.part_files import PARTS, bounds, read_column
from serving.log_writer.recent_records import RecentRecords
from serving.log_writer.stream_id import parsed
from serving.log_writer.tables import EVENTS, RECORD_ID, REJECTS, SHOWN, STREAM_ID, to_tables

PARTIAL = ".part.parquet"


@dataclass(frozen=True)
class LogFile:
    """A file of one of the log's tables, as it will be for ever.

    Attributes:
      name: its place in the table's folder.
      first_ms, last_ms: when its first and its last entry came into the stream.
    """

    name: str
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class Appended:
    """Rows that one call has added, by table; entries that were there already add none.

    Attributes:
      repeats: entries that were left out because their record had come in another one.
    """

    events: int = 0
    shown: int = 0
    rejects: int = 0
    repeats: int = 0


class OnlineLog:
    """Threads and processes may write to one folder, which is made where it is not there.

    Args:
      recent_count: of a table's newest rows, about, among which a record is looked for that may have come before; 0: it is
        written as often as it comes.
    """

    def __init__(self, folder: Path, recent_count: int = 0) -> None:
        self._folder = folder
        self._recent = {
            table: RecentRecords(folder / table, column, recent_count) for table, column in RECORD_ID.items() if recent_count
        }

    def append(self, entries: Mapping[str, str]) -> Appended:
        """Put entries (stream id → record in JSON) on disk, for good when this returns; those that are there are passed over.

        Raises:
          ServingError: the disk takes nothing more; some of the entries may be on it, and all may be given again.
          ArtifactError: a file of the log cannot be read.
        """
        by_day: dict[int, dict[str, str]] = {}
        for entry in sorted(entries, key=parsed):
            by_day.setdefault(parsed(entry)[0] // MS_PER_DAY, {})[entry] = entries[entry]
        counts, repeated = dict.fromkeys((EVENTS, SHOWN, REJECTS), 0), set[str]()
        try:
            with self._turn():
                for day, of_day in by_day.items():
                    for table, rows in to_tables(of_day).items():
                        folder = self._folder / table / day_name(day)
                        missing = _not_held(folder, rows)
                        new = self._recent[table].new_among(missing) if table in self._recent else missing
                        repeated |= set(_ids(missing)) - set(_ids(new))
                        counts[table] += new.num_rows
                        _write(folder, new)
        except OSError as error:
            raise ServingError(f"{self._folder}: the log cannot be written ({error.strerror or error})") from error
        return Appended(**counts, repeats=len(repeated))

    def files(self, table: str) -> list[LogFile]:
        """Those that are whole, in the order in which their first entries came; a day that is over may still get one."""
        found = []
        for path in (self._folder / table).glob(f"day=*/{PARTS}"):
            first, last = bounds(path)
            found.append((first, last, LogFile(f"{path.parent.name}/{path.name}", first[0], last[0])))
        return [file for _, _, file in sorted(found, key=lambda each: each[:2])]

    def holds(self, ids: Iterable[str]) -> set[str]:
        """Those of the stream ids whose entries are in the log."""
        wanted = pa.array(list(ids), pa.string())
        found: set[str] = set()
        for folder in self._folder.glob("*/day=*"):
            found.update(_held(folder, wanted).to_pylist())
        return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _write(folder: Path, rows: pa.Table) -> None:
    if not rows.num_rows:
        return
    ids = _ids(rows)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / PARTIAL
    try:
        with partial.open("wb") as file:
            pq.write_table(rows, file, compression="zstd", compression_level=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / f"part-{ids[0]}_{ids[-1]}.parquet")
    except OSError:
        partial.unlink(missing_ok=True)  # a disk that is full needs the room
        raise
    for each in (folder, folder.parent, folder.parent.parent):  # names are the folders' content
        sync(each)


def _ids(rows: pa.Table) -> list[str]:
    return rows.column(STREAM_ID).to_pylist()


def _not_held(folder: Path, rows: pa.Table) -> pa.Table:
    """The rows whose entries no file of the folder holds."""
    return rows.filter(pc.invert(pc.is_in(rows.column(STREAM_ID), _held(folder, rows.column(STREAM_ID)))))


def _held(folder: Path, ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Those of the ids that are in files of the folder."""
    moments = [parsed(each) for each in pc.unique(ids).to_pylist()]
    found: list[str] = []
    for path in folder.glob(PARTS) if moments else ():
        first, last = bounds(path)
        if first <= max(moments) and last >= min(moments):
            found += pc.unique(read_column(path, STREAM_ID)).to_pylist()
    return pc.unique(ids.filter(pc.is_in(ids, pa.array(found, pa.string()))))
