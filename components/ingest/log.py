"""Write one UTC day of the event log: duplicates out, in the order of time."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.features.item import count_events
from components.schema.events import EPOCH, ITEM_DAYS_SCHEMA, MS_PER_DAY, DaySummary, day_name


def of_days(events: pa.RecordBatch, first: date | None, last: date | None) -> pa.RecordBatch:
    """The events from the UTC day ``first`` on, to the end of the day ``last``."""
    if first is None and last is None:
        return events
    days = events.column("timestamp_ms").to_numpy() // MS_PER_DAY
    kept = np.ones(len(days), bool)
    if first is not None:
        kept &= days >= (first - EPOCH).days
    if last is not None:
        kept &= days <= (last - EPOCH).days
    return events.filter(pa.array(kept))


def split_by_day(events: pa.RecordBatch) -> list[tuple[int, pa.RecordBatch]]:
    """The batch as one piece per UTC day (days since 1970-01-01)."""
    if events.num_rows == 0:
        return []
    days = events.column("timestamp_ms").to_numpy() // MS_PER_DAY
    order = np.argsort(days, kind="stable")
    found, starts = np.unique(days[order], return_index=True)
    sorted_events = events.take(pa.array(order))
    ends = [*starts[1:], len(days)]
    return [
        (int(day), sorted_events.slice(int(start), int(end - start)))
        for day, start, end in zip(found, starts, ends, strict=True)
    ]


def write_day(
    day: int, events: pa.Table, repeats: list[pa.ChunkedArray], late_after_s: int, event_log: Path
) -> tuple[DaySummary, pa.RecordBatch]:
    """Write a day's partition, if any event is left for it; return its summary and its item-day counts.

    Events with an equal id count once, the earliest of them; where the source has no ids, equal events do, and the id
    becomes the place in the day. The file appears under its name only when it is whole.

    Args:
      repeats: ids that an earlier day has.
    """
    before = events.num_rows
    for ids in repeats:
        events = events.filter(pc.invert(pc.is_in(events.column("event_id"), ids)))
    events = events.combine_chunks()
    events = events.take(
        pc.sort_indices(
            events,
            [("timestamp_ms", "ascending"), ("user_id", "ascending"), ("item_id", "ascending"), ("type", "ascending")],
        )
    )
    events = events.take(pa.array(_first_of_each(events)))
    if events.num_rows and events.column("event_id")[0].as_py() == "":
        ids = np.char.mod(f"{day}-%d", np.arange(events.num_rows))
        events = events.set_column(0, events.schema.field(0), pa.array(ids, pa.string()))
    if events.num_rows:
        folder = event_log / day_name(day)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / ".part-00000.parquet"
        pq.write_table(events, partial, compression="zstd", compression_level=1)
        partial.replace(folder / "part-00000.parquet")

    late = pc.greater(pc.subtract(events.column("received_ms"), events.column("timestamp_ms")), late_after_s * 1000)
    types = pc.value_counts(events.column("type"))
    counts = count_events(events)
    item_days = pa.record_batch(
        [
            pa.repeat(pa.scalar(day, pa.int32()), counts.num_rows),
            *(counts.column(name).combine_chunks() for name in ("item_id", "type", "event_count")),
        ],
        schema=ITEM_DAYS_SCHEMA,
    )
    summary = DaySummary(
        day=day_name(day).removeprefix("day="),
        event_count=events.num_rows,
        user_count=pc.count_distinct(events.column("user_id")).as_py(),
        duplicate_count=before - events.num_rows,
        late_count=int(pc.sum(late).as_py() or 0),
        events_by_type={each["values"]: each["counts"] for each in sorted(types.to_pylist(), key=lambda each: each["values"])},
    )
    return summary, item_days


def _first_of_each(events: pa.Table) -> np.ndarray:
    """Rows to keep, in order: the first of those with an equal id, or that are equal where there are no ids."""
    if events.num_rows == 0:
        return np.zeros(0, np.int64)
    if events.column("event_id")[0].as_py() != "":
        codes = _codes(events.column("event_id"))
    else:
        codes = np.zeros(events.num_rows, np.int64)
        for name in ("user_id", "item_id", "type", "timestamp_ms", "value", "position", "request_id"):
            column = _codes(events.column(name))
            _, codes = np.unique(codes * (int(column.max()) + 1) + column, return_inverse=True)
    _, first = np.unique(codes, return_index=True)
    return np.sort(first)


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy().astype(np.int64)
