"""Features of an item as of a day: how often, how often lately, and how old.

They change with the batch tier, once a UTC day, and hold what was known at the day's first moment. The same table is
used in training (the row of the sample's day) and in serving (the last row), so both see equally old counts.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.schema.catalogue import read_items
from components.schema.events import ITEM_DAYS_FILE, MS_PER_DAY

RECENT_DAYS = 7
NAMES = ("item_event_count", "item_recent_event_count", "item_age_days")


def count_events(events: pa.Table) -> pa.Table:
    """How many of the events each item had by type (item_id, type, event_count): of a day, or of any other stretch of time."""
    counts = events.group_by(["item_id", "type"]).aggregate([("event_id", "count")])
    return counts.select(["item_id", "type", "event_id_count"]).rename_columns(["item_id", "type", "event_count"])


@dataclass(frozen=True)
class ItemDays:
    """Counts of each item by the day.

    Attributes:
      first_day: days since 1970-01-01 of row 0.
      total: float32 [num_days + 1, num_items]; events before the first moment of day ``first_day + row``.
      created_day: float32 [num_items].
    """

    first_day: int
    total: NDArray[np.float32]
    created_day: NDArray[np.float32]

    @classmethod
    def load(cls, event_log: Path, catalogue: Path, types: tuple[str, ...] | None) -> "ItemDays":
        """Counts of the events of ``types`` (None: of all)."""
        items = read_items(catalogue)
        counts = pq.read_table(event_log / ITEM_DAYS_FILE)
        first, last = (counts.column("day").to_numpy().min(), counts.column("day").to_numpy().max())
        if types is not None:
            counts = counts.filter(pc.is_in(counts.column("type"), pa.array(types, pa.string())))
        daily = np.zeros((int(last - first) + 2, items.num_rows), np.float32)
        index = pc.index_in(counts.column("item_id"), items.column("item_id").combine_chunks()).to_numpy()
        np.add.at(daily, (counts.column("day").to_numpy() - first + 1, index), counts.column("event_count").to_numpy())
        created = items.column("created_ms").to_numpy() / MS_PER_DAY
        return cls(int(first), np.cumsum(daily, axis=0, dtype=np.float32), created.astype(np.float32))

    def of_no_day(self, total: NDArray[np.integer]) -> "ItemDays":
        """The same at every moment: ``total`` [num_items] events of each item, none of them lately."""
        return replace(self, total=total[np.newaxis].astype(np.float32))

    def row(self, timestamp_ms: NDArray[np.int64]) -> NDArray[np.int32]:
        """int32 [n]; the row of ``total`` that is known at each moment, the last one for moments after the log's end."""
        rows = timestamp_ms // MS_PER_DAY - self.first_day
        return np.clip(rows, 0, len(self.total) - 1).astype(np.int32)
