"""One batch as a Beam pipeline: files of the event log → events by the hour → hours."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import ArtifactError
from components.schema.arrow_bytes import from_bytes, to_bytes
from components.schema.trends import hour_name
from components.trends.hours import EVENT_COLUMNS, HourCounts, split_by_hour

FACTS_FILE = "facts.json"
ROWS_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class BatchFacts:
    """Attributes: event_count, repeat_count: hour → how many were new, and were not; late_count, ahead_count: left out."""

    event_count: Mapping[int, int]
    repeat_count: Mapping[int, int]
    late_count: int
    ahead_count: int


def count_hours(pipeline: beam.Pipeline, files: list[Path], before: Mapping[int, Path], until_hour: int, batch: Path) -> None:
    """Add the steps that write the hours of ``batch``, and what they found as ``FACTS_FILE``.

    Args:
      before: hour → the folder of its counts before this batch.
      until_hour: the hour in which the last of the events arrived.
    """
    read = (
        pipeline
        | "Files" >> beam.Create([str(path) for path in files])
        | "Spread" >> beam.Reshuffle()
        | "SplitByHour" >> beam.ParDo(_SplitByHour(until_hour)).with_outputs("left_out", main="events")
    )
    hours = (
        read.events
        | "GroupByHour" >> beam.GroupByKey()
        | "WriteHour" >> beam.Map(_write_hour, before={hour: str(path) for hour, path in before.items()}, batch=str(batch))
    )
    (
        (hours, read.left_out)
        | "Facts" >> beam.Flatten()
        | "GroupFacts" >> beam.GroupByKey()
        | "WriteFacts" >> beam.Map(_write_facts, batch=str(batch))
    )


def read_facts(batch: Path) -> BatchFacts:
    """What the pipeline found, once it has run."""
    found = json.loads((batch / FACTS_FILE).read_text())
    hours = [each for each in found if "hour" in each]
    return BatchFacts(
        event_count={each["hour"]: each["new"] for each in hours},
        repeat_count={each["hour"]: each["repeated"] for each in hours},
        late_count=sum(each["late"] for each in found if "late" in each),
        ahead_count=sum(each["ahead"] for each in found if "ahead" in each),
    )


class _SplitByHour(beam.DoFn):
    def __init__(self, until_hour: int) -> None:
        self._until_hour = until_hour

    def process(self, path: str) -> Iterator[Any]:
        late, ahead = 0, 0
        try:
            for events in pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE, columns=list(EVENT_COLUMNS)):
                pieces, late_here, ahead_here = split_by_hour(events, self._until_hour)
                late, ahead = late + late_here, ahead + ahead_here
                for hour, piece in pieces:
                    yield hour, to_bytes(piece)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{path}: is no readable file of the event log ({error}); bring it back as it was, and start again"
            ) from error
        yield beam.pvalue.TaggedOutput("left_out", (0, {"late": late, "ahead": ahead}))


def _write_hour(keyed: tuple[int, Iterable[bytes]], before: dict[int, str], batch: str) -> tuple[int, dict[str, int]]:
    hour, pieces = keyed
    events = from_bytes(list(pieces))
    known = HourCounts.load(Path(before[hour])) if hour in before else HourCounts.empty()
    now = known.fold(events)
    now.save(Path(batch) / hour_name(hour))
    new = len(now.ids) - len(known.ids)
    return 0, {"hour": hour, "new": new, "repeated": events.num_rows - new}


def _write_facts(keyed: tuple[int, Iterable[dict[str, int]]], batch: str) -> None:
    partial = Path(batch) / f".{FACTS_FILE}.{uuid4().hex}"
    partial.write_text(json.dumps(list(keyed[1])))
    partial.replace(Path(batch) / FACTS_FILE)
