"""What had most events lately, of the hours' counts."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from components.features.item import RECENT_DAYS
from components.schema.trends import TRENDS_SCHEMA

PERIODS: Mapping[str, int] = MappingProxyType({"day": 24, "week": RECENT_DAYS * 24})  # hours, the one at hand among them
TOP_ITEMS = 1_000


def trends(hours: Mapping[int, pa.Table], until_hour: int, history_types: Sequence[str]) -> pa.Table:
    """The items with most events of each period and type, in ``TRENDS_SCHEMA``; equal counts by item id.

    Args:
      hours: hour → its counts, in ``COUNTS_SCHEMA``.
      history_types: those counted together where ``type`` is null.
    """
    found = [TRENDS_SCHEMA.empty_table()]
    for period, length in PERIODS.items():
        within = [counts for hour, counts in hours.items() if hour > until_hour - length]
        if not within:
            continue
        counts = pa.concat_tables(within)
        of_history = counts.filter(pc.is_in(counts.column("type"), pa.array(history_types, pa.string())))
        found.append(_top(of_history, period, None))
        for each in sorted(pc.unique(counts.column("type")).to_pylist()):
            found.append(_top(counts.filter(pc.equal(counts.column("type"), each)), period, each))
    return pa.concat_tables(found)


def _top(counts: pa.Table, period: str, type_: str | None) -> pa.Table:
    totals = counts.group_by("item_id").aggregate([("event_count", "sum")])
    top = totals.sort_by([("event_count_sum", "descending"), ("item_id", "ascending")]).slice(0, TOP_ITEMS)
    size = top.num_rows
    columns = [
        pa.repeat(pa.scalar(period), size),
        pa.repeat(pa.scalar(type_, pa.string()), size),
        pa.array(range(1, size + 1), pa.int32()),
        top.column("item_id"),
        top.column("event_count_sum"),
    ]
    return pa.table(columns, names=TRENDS_SCHEMA.names).cast(TRENDS_SCHEMA)
