"""The event log: one row per thing that a user did, or was shown.

On disk: ``day=YYYY-MM-DD/part-NNNNN.parquet`` (UTC days), rows in the order of time, immutable once written, with
``item_days.parquet`` (per day and item: how many events of each type) and ``summary.json`` beside them.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR
EPOCH = date(1970, 1, 1)
CONTEXT_PREFIX = "context_"
SUMMARY_FILE = "summary.json"
ITEM_DAYS_FILE = "item_days.parquet"
REJECTS_FILE = "rejects.parquet"
SOURCES_FILE = "sources.sha256"

BASE_FIELDS = (
    pa.field("event_id", pa.string(), nullable=False),
    pa.field("user_id", pa.string(), nullable=False),
    pa.field("item_id", pa.string(), nullable=False),
    pa.field("type", pa.string(), nullable=False),
    pa.field("value", pa.float32()),
    pa.field("timestamp_ms", pa.int64(), nullable=False),
    pa.field("received_ms", pa.int64()),
    pa.field("request_id", pa.string()),
    pa.field("position", pa.int32()),
    pa.field("propensity", pa.float32()),
)
ITEM_DAYS_SCHEMA = pa.schema(
    [
        pa.field("day", pa.int32(), nullable=False),  # days since 1970-01-01
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("event_count", pa.int64(), nullable=False),
    ]
)
REJECTS_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # from 1, the header not counted
        pa.field("reason", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
    ]
)


def event_schema(context: tuple[str, ...]) -> pa.Schema:
    """The Arrow schema of the log of a data set with these context columns."""
    return pa.schema([*BASE_FIELDS, *(pa.field(CONTEXT_PREFIX + name, pa.string()) for name in context)])


def day_name(day: int) -> str:
    """The folder of a UTC day, given as days since 1970-01-01."""
    return f"day={(EPOCH + timedelta(days=day)).isoformat()}"


def utc(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class DaySummary:
    """What one UTC day of the log holds."""

    day: str
    event_count: int
    user_count: int
    duplicate_count: int
    late_count: int
    events_by_type: dict[str, int]


@dataclass(frozen=True)
class EventLogSummary:
    """What one ingest run read, kept and refused."""

    row_count: int
    event_count: int
    reject_count: int
    duplicate_count: int
    late_count: int | None  # None: the source does not say when events arrived
    first_timestamp_ms: int
    last_timestamp_ms: int
    reject_reasons: dict[str, int]
    unknown_item_count: int
    unknown_user_count: int
    unreadable_features: dict[str, int]  # values of item and user features that did not fit their kind
    days: list[DaySummary] = field(default_factory=list)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict) -> "EventLogSummary":
        return cls(**{**raw, "days": [DaySummary(**day) for day in raw["days"]]})


def write_sources(event_log: Path, fingerprint: str) -> None:
    """Note what the log was made from."""
    (event_log / SOURCES_FILE).write_text(fingerprint)


def read_sources(event_log: Path) -> str:
    return (event_log / SOURCES_FILE).read_text()


def event_files(event_log: Path) -> list[Path]:
    """The log's Parquet files in the order of time."""
    return sorted(event_log.glob("day=*/part-*.parquet"))
