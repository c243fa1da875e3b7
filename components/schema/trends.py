"""What the stream tier knows: how often each item had an event in each hour, and what had most of them lately.

    stream/
      committed                          the number of the batch that counts, written last of all
      claim.json                         the batch that is at work, or was the last to be
      consumed/day=2026-01-31.json       files of the online log that are counted already, by the day's folder
      batches/7/hour=2026-01-31T13/      counts.parquet, ids.parquet: the whole hour, all batches up to this one in it
      batches/7/trends.parquet           items with most events of the last day and week
      batches/7/manifest.json            written last: a batch without it does not exist

A batch holds the hours that it has changed; its manifest says of every hour that is kept which batch holds it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import ArtifactError
from components.schema.events import MS_PER_HOUR

STREAM_FOLDER = "stream"
COMMITTED_FILE, MANIFEST_FILE, TRENDS_FILE = "committed", "manifest.json", "trends.parquet"
COUNTS_FILE, IDS_FILE = "counts.parquet", "ids.parquet"
FORMAT = 1

COUNTS_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("event_count", pa.int64(), nullable=False),
    ]
)
IDS_SCHEMA = pa.schema([pa.field("id_digest", pa.uint64(), nullable=False)])
TRENDS_SCHEMA = pa.schema(
    [
        pa.field("period", pa.string(), nullable=False),  # of PERIODS
        pa.field("type", pa.string()),  # null: all types that enter the history, together
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("event_count", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Manifest:
    """What one batch counted, and where every hour is found after it.

    Attributes:
      until_ms: when the last entry that is counted came into the event stream.
      files: of the online log's events, by their names there.
      event_count: that were new; repeat_count: told by their ids; late_count, ahead_count: of hours that are kept no more, or
        have not come yet.
      hours: name of the hour → number of the batch that holds it.
      sha256: of the batch's own files, by their places in its folder.
    """

    format: int
    batch: int
    until_ms: int
    files: tuple[str, ...]
    event_count: int
    repeat_count: int
    late_count: int
    ahead_count: int
    hours: Mapping[str, int]
    sha256: Mapping[str, str]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def hour_name(hour: int) -> str:
    """The folder of a UTC hour, given as hours since 1970-01-01."""
    return datetime.fromtimestamp(hour * MS_PER_HOUR / 1000, UTC).strftime("hour=%Y-%m-%dT%H")


def hour_of(name: str) -> int:
    moment = datetime.strptime(name, "hour=%Y-%m-%dT%H").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000) // MS_PER_HOUR


def batch_folder(stream: Path, batch: int) -> Path:
    return stream / "batches" / str(batch)


def committed_batch(stream: Path) -> int:
    """The number of the batch that counts, 0 before the first.

    Raises:
      ArtifactError: the note of it is damaged.
    """
    try:
        text = (stream / COMMITTED_FILE).read_text()
    except FileNotFoundError:
        return 0
    if not text.isdigit():
        raise ArtifactError(
            f"{stream / COMMITTED_FILE}: found {text!r}, wanted the number of a batch; move {stream} away to count the log anew"
        )
    return int(text)


def read_manifest(stream: Path, batch: int) -> Manifest:
    """
    Raises:
      ArtifactError: there is no such batch, or its manifest cannot be read.
    """
    path = batch_folder(stream, batch) / MANIFEST_FILE
    try:
        raw = json.loads(path.read_text())
        if raw["format"] != FORMAT:
            raise ArtifactError(
                f"{path}: has format {raw['format']}, wanted {FORMAT}; move {stream} away to count the log anew"
            )
        return Manifest(**{**raw, "files": tuple(raw["files"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); move {stream} away to count the log anew") from error


def read_trends(stream: Path, batch: int) -> pa.Table:
    """
    Raises:
      ArtifactError: the table is missing or damaged.
    """
    path = batch_folder(stream, batch) / TRENDS_FILE
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: cannot be read ({error})") from error
