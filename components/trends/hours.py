"""How often each item had an event within one hour of event time, each event counted once."""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.errors import ArtifactError
from components.features.item import RECENT_DAYS, count_events
from components.schema.events import MS_PER_HOUR
from components.schema.trends import COUNTS_FILE, COUNTS_SCHEMA, IDS_FILE, IDS_SCHEMA

HOURS_KEPT = RECENT_DAYS * 24
HOURS_AHEAD = 1  # clients' clocks may be a little fast
EVENT_COLUMNS = ("event_id", "item_id", "type", "timestamp_ms")


@dataclass(frozen=True)
class HourCounts:
    """What is known of an hour.

    Attributes:
      counts: in ``COUNTS_SCHEMA``, by item and type.
      ids: uint64 [n], ascending; a digest of the id of each event that is counted. Two ids of one hour share one with a
        probability of n² / 2⁶⁵, whereupon an event is taken for a repeat.
    """

    counts: pa.Table
    ids: NDArray[np.uint64]

    @classmethod
    def empty(cls) -> Self:
        return cls(COUNTS_SCHEMA.empty_table(), np.zeros(0, np.uint64))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """
        Raises:
          ArtifactError: a file of the hour is missing or damaged.
        """
        try:
            counts, ids = (pq.ParquetFile(folder / name).read() for name in (COUNTS_FILE, IDS_FILE))
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{folder}: is no readable hour of the stream tier ({error})") from error
        return cls(counts, ids.column("id_digest").to_numpy())

    def fold(self, events: pa.Table) -> Self:
        """With some more events of the hour (``EVENT_COLUMNS``); those that are counted already change nothing.

        Where events of one id are equal, neither their order nor how they are cut into calls changes the result.
        """
        ordered = events.sort_by([(name, "ascending") for name in ("event_id", "timestamp_ms", "item_id", "type")])
        digests, first = np.unique(_digests(ordered.column("event_id")), return_index=True)
        new = ~np.isin(digests, self.ids)
        added = count_events(ordered.take(pa.array(np.sort(first[new])))).cast(COUNTS_SCHEMA)
        together = pa.concat_tables([self.counts, added]).group_by(["item_id", "type"]).aggregate([("event_count", "sum")])
        counts = together.rename_columns(COUNTS_SCHEMA.names).sort_by([("item_id", "ascending"), ("type", "ascending")])
        return self.__class__(counts.cast(COUNTS_SCHEMA), np.sort(np.concatenate([self.ids, digests[new]])))

    def save(self, folder: Path) -> None:
        """Each file appears under its name only when it is whole; another process may be writing the same."""
        folder.mkdir(parents=True, exist_ok=True)
        write_table(self.counts, folder / COUNTS_FILE)
        write_table(pa.table([self.ids], schema=IDS_SCHEMA), folder / IDS_FILE)


def write_table(table: pa.Table, path: Path) -> None:
    """The same table gives the same bytes."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    pq.write_table(table.combine_chunks(), partial, compression="zstd", compression_level=1)
    partial.replace(path)


def split_by_hour(events: pa.RecordBatch, until_hour: int) -> tuple[list[tuple[int, pa.RecordBatch]], int, int]:
    """The events as one piece per UTC hour (hours since 1970-01-01), and how many are of hours before or after those kept.

    Args:
      until_hour: the hour in which the last of the events arrived.
    """
    hours = events.column("timestamp_ms").to_numpy() // MS_PER_HOUR
    late, ahead = hours <= until_hour - HOURS_KEPT, hours > until_hour + HOURS_AHEAD
    kept = ~(late | ahead)
    pieces = [(int(hour), events.filter(pa.array(hours == hour))) for hour in np.unique(hours[kept])]
    return pieces, int(late.sum()), int(ahead.sum())


def _digests(event_ids: pa.ChunkedArray) -> NDArray[np.uint64]:
    digests = (blake2b(each.encode(), digest_size=8).digest() for each in event_ids.to_pylist())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
