"""Tables for people: what happened by the day, and which items it happened to."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.schema.catalogue import read_items
from components.schema.events import ITEM_DAYS_FILE, SUMMARY_FILE, EventLogSummary

TOP_ITEMS = 100


def write_business_statistics(event_log: Path, catalogue: Path, folder: Path) -> None:
    """Write ``daily_actives``, ``events_by_type``, ``top_items`` and ``coverage`` as Parquet tables."""
    folder.mkdir(parents=True, exist_ok=True)
    days = EventLogSummary.from_dict(json.loads((event_log / SUMMARY_FILE).read_text())).days
    item_days = pq.read_table(event_log / ITEM_DAYS_FILE)
    items = read_items(catalogue)
    tables = {
        "daily_actives": pa.table(
            {
                "day": [day.day for day in days],
                "user_count": [day.user_count for day in days],
                "event_count": [day.event_count for day in days],
            }
        ),
        "events_by_type": pa.Table.from_pylist(
            [{"day": day.day, "type": name, "event_count": count} for day in days for name, count in day.events_by_type.items()]
        ),
        "top_items": _top_items(item_days, items),
        "coverage": _coverage(item_days, items.num_rows),
    }
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")


def _top_items(item_days: pa.Table, items: pa.Table) -> pa.Table:
    """The items with the most events in all, by type too."""
    totals = item_days.group_by(["item_id", "type"]).aggregate([("event_count", "sum")])
    totals = totals.rename_columns(["item_id", "type", "event_count"])
    overall = totals.group_by("item_id").aggregate([("event_count", "sum")]).rename_columns(["item_id", "total"])
    top = overall.sort_by([("total", "descending"), ("item_id", "ascending")]).slice(0, TOP_ITEMS)
    joined = totals.filter(pc.is_in(totals.column("item_id"), top.column("item_id").combine_chunks()))
    joined = joined.join(top, "item_id").join(items.select(["item_id", "title"]), "item_id")
    return joined.sort_by([("total", "descending"), ("item_id", "ascending"), ("type", "ascending")])


def _coverage(item_days: pa.Table, item_count: int) -> pa.Table:
    """By day: how many items had an event, and what share of the catalogue that is."""
    active = item_days.group_by(["day"]).aggregate([("item_id", "count_distinct")]).sort_by("day")
    counts = active.column("item_id_count_distinct")
    return pa.table(
        {
            "day": active.column("day").cast(pa.date32()),
            "active_item_count": counts,
            "active_item_share": pc.divide(counts.cast(pa.float64()), item_count),
        }
    )
