"""The tables for people."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.samples.business import write_business_statistics

DAY = 1_704_067_200  # 2024-01-01


def test_tables(make: Callable, tmp_path: Path) -> None:
    columns = {"user_id": "user", "item_id": "item", "timestamp": "time", "type": "kind"}
    events = {"path": "events.parquet", "format": "parquet", "columns": columns}
    items = {"path": "items.parquet", "format": "parquet", "id": "item", "title": "name"}
    log = [("u1", "a", 0, "view"), ("u2", "a", 1, "view"), ("u1", "b", 2, "buy"), ("u1", "a", 86_400, "buy")]
    rows: list[dict[str, Any]] = [
        {"user": user, "item": item, "time": DAY + second, "kind": kind} for user, item, second, kind in log
    ]
    made = make(
        {
            "dataset": {"events": events, "items": items, "tasks": {"interact": {}}},
            "samples": {"split": {"kind": "leave_last_out"}},
        },
        events=rows,
        items=[{"item": name, "name": name.upper()} for name in ("a", "b", "c", "d")],
    )
    write_business_statistics(made.folder / "log", made.folder / "catalogue", tmp_path)
    tables = {path.stem: [tuple(row.values()) for row in pq.read_table(path).to_pylist()] for path in tmp_path.iterdir()}
    assert tables["daily_actives"] == [("2024-01-01", 2, 3), ("2024-01-02", 1, 1)]
    assert tables["events_by_type"] == [("2024-01-01", "buy", 1), ("2024-01-01", "view", 2), ("2024-01-02", "buy", 1)]
    # a has 3 events, b has 1; c and d have none.
    assert tables["top_items"] == [("a", "buy", 1, 3, "A"), ("a", "view", 2, 3, "A"), ("b", "buy", 1, 1, "B")]
    # 2 of 4 items are active on the first day, 1 of 4 on the second.
    assert tables["coverage"] == [(date(2024, 1, 1), 2, 0.5), (date(2024, 1, 2), 1, 0.25)]
