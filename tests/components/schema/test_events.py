"""The event log's contract."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from components.schema.arrow_bytes import from_bytes, to_bytes
from components.schema.events import (
    DaySummary,
    EventLogSummary,
    day_name,
    event_files,
    event_schema,
    utc,
)


def test_context_columns_follow_the_others() -> None:
    schema = event_schema(("device", "page"))
    assert schema.names[-2:] == ["context_device", "context_page"]
    required = [field.name for field in schema if not field.nullable]
    assert required == ["event_id", "user_id", "item_id", "type", "timestamp_ms"]


def test_days_and_moments_are_utc() -> None:
    assert day_name(0) == "day=1970-01-01"
    assert day_name(19_782) == "day=2024-02-29"  # 19,723 is 2024-01-01, and January has 31 days
    assert utc(1_704_067_199_999) == "2023-12-31 23:59:59"


def test_files_come_in_the_order_of_time(tmp_path: Path) -> None:
    for name in (
        "day=2024-01-10/part-00000",
        "day=2024-01-09/part-00001",
        "day=2024-01-09/part-00000",
        "day=2024-01-09/.part-00002",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.parquet").write_text("")
    assert [str(path.relative_to(tmp_path)) for path in event_files(tmp_path)] == [
        "day=2024-01-09/part-00000.parquet",
        "day=2024-01-09/part-00001.parquet",
        "day=2024-01-10/part-00000.parquet",
    ]


def test_the_summary_is_the_same_after_json() -> None:
    summary = EventLogSummary(
        row_count=5,
        event_count=3,
        reject_count=1,
        duplicate_count=1,
        late_count=None,
        first_timestamp_ms=1,
        last_timestamp_ms=2,
        reject_reasons={"user_id is empty": 1},
        unknown_item_count=0,
        unknown_user_count=0,
        unreadable_features={},
        days=[DaySummary("2024-01-01", 3, 2, 1, 0, {"view": 3})],
    )
    assert EventLogSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_batches_as_bytes(count: int) -> None:
    schema = pa.schema([pa.field("a", pa.string(), nullable=False), pa.field("b", pa.list_(pa.float32()))])
    batch = pa.RecordBatch.from_pylist([{"a": f"é{n}", "b": None if n % 3 else [n, 0.5]} for n in range(count)], schema=schema)
    table = from_bytes([to_bytes(batch), to_bytes(batch)])
    assert table.schema.equals(schema)
    assert table.to_pylist() == batch.to_pylist() * 2
