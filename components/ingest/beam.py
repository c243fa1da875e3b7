"""Ingest as a Beam pipeline: parts of files → batches of events by day → day partitions."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.config import DatasetConfig
from components.errors import DataError
from components.ingest.catalogue import complete_items, complete_users, read_items, read_users
from components.ingest.events import check_unit, event_columns, numbered, reject_batch, to_events
from components.ingest.files import Part, parts, read_part
from components.ingest.log import of_days, split_by_day, write_day
from components.ingest.repeats import ids_by_bucket, repeats_by_day
from components.schema.arrow_bytes import from_bytes, to_bytes
from components.schema.catalogue import ITEMS_FILE, USERS_FILE
from components.schema.events import (
    ITEM_DAYS_FILE,
    REJECTS_FILE,
    REJECTS_SCHEMA,
    SUMMARY_FILE,
    DaySummary,
    EventLogSummary,
    event_files,
)

MAX_REJECTS_KEPT = 100_000
EVENTS_KEY = "dataset.events"


def ingest(pipeline: beam.Pipeline, dataset: DatasetConfig, event_log: Path) -> None:
    """Add the steps that write the day partitions, the rejects and the day summaries of ``event_log``."""
    read = (
        pipeline
        | "Parts" >> beam.Create(parts(dataset.events, EVENTS_KEY))
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(_ReadPart(dataset)).with_outputs("rejects", "ids", main="events")
    )
    of_day = {"events": read.events}
    if dataset.events.columns.event_id:
        of_day["repeats"] = read.ids | "GroupByBucket" >> beam.GroupByKey() | "FindRepeats" >> beam.FlatMap(_repeats)
    (
        of_day
        | "GroupByDay" >> beam.CoGroupByKey()
        | "WriteDay" >> beam.Map(_write_day, late_after_s=dataset.events.late_after_s, event_log=str(event_log))
        | "GroupDays" >> beam.GroupByKey()
        | "WriteSummaries" >> beam.Map(_write_summaries, event_log=str(event_log))
    )
    (read.rejects | "GroupRejects" >> beam.GroupByKey() | "WriteRejects" >> beam.Map(_write_rejects, event_log=str(event_log)))


class _ReadPart(beam.DoFn):
    def __init__(self, dataset: DatasetConfig) -> None:
        self._events = dataset.events

    def process(self, part: Part) -> Iterator[Any]:
        malformed: list[tuple[int, str, str]] = []
        batches = read_part(self._events, EVENTS_KEY, part, event_columns(self._events), lambda *row: malformed.append(row))
        for first_row, batch in batches:
            if first_row == part.first_row:
                check_unit(batch, self._events, part.path)
            events, rejects = to_events(batch, self._events, part.path, first_row)
            events = of_days(events, self._events.first_day, self._events.last_day)
            if rejects.num_rows:
                rejects = numbered(rejects, [row for row, _, _ in malformed])
                yield beam.pvalue.TaggedOutput("rejects", (0, to_bytes(rejects)))
            for day, piece in split_by_day(events):
                yield day, to_bytes(piece)
            if self._events.columns.event_id and events.num_rows:
                for bucket, ids in ids_by_bucket(events):
                    yield beam.pvalue.TaggedOutput("ids", (bucket, to_bytes(ids)))
        if malformed:
            rows, contents, reasons = (list(column) for column in zip(*malformed, strict=True))
            yield beam.pvalue.TaggedOutput("rejects", (0, to_bytes(reject_batch(part.path, rows, reasons, contents))))


def _repeats(keyed: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
    for day, ids in repeats_by_day(from_bytes(list(keyed[1]))):
        yield day, to_bytes(ids)


def _write_day(
    keyed: tuple[int, dict[str, Iterable[bytes]]], late_after_s: int, event_log: str
) -> tuple[int, tuple[dict, bytes]]:
    day, pieces = keyed
    repeats = [from_bytes(list(pieces["repeats"])).column("event_id")] if pieces.get("repeats") else []
    events = from_bytes(list(pieces["events"]))
    summary, item_days = write_day(day, events, repeats, late_after_s, Path(event_log))
    return 0, (summary.__dict__, to_bytes(item_days))


def _write_summaries(keyed: tuple[int, Iterable[tuple[dict, bytes]]], event_log: str) -> None:
    found = sorted(keyed[1], key=lambda each: each[0]["day"])
    (Path(event_log) / "days.json").write_text(json.dumps([summary for summary, _ in found]))
    pq.write_table(from_bytes([counts for _, counts in found]), Path(event_log) / ITEM_DAYS_FILE)


def _write_rejects(keyed: tuple[int, Iterable[bytes]], event_log: str) -> None:
    table = from_bytes(list(keyed[1])).sort_by([("file", "ascending"), ("row", "ascending")])
    reasons = Counter({each["values"]: each["counts"] for each in pc.value_counts(table.column("reason")).to_pylist()})
    (Path(event_log) / "reject_reasons.json").write_text(json.dumps(dict(reasons.most_common())))
    pq.write_table(table.slice(0, MAX_REJECTS_KEPT), Path(event_log) / REJECTS_FILE)


def finish(dataset: DatasetConfig, event_log: Path, catalogue: Path) -> EventLogSummary:
    """Once the pipeline has run: the catalogue, the log's summary, and the check of the share of rejects.

    Raises:
      DataError: too many rows were refused, there are no events, or ids do not match between tables.
    """
    days_file, reasons_file = event_log / "days.json", event_log / "reject_reasons.json"
    days = [DaySummary(**day) for day in json.loads(days_file.read_text())] if days_file.exists() else []
    reasons: dict[str, int] = json.loads(reasons_file.read_text()) if reasons_file.exists() else {}
    rejected, kept = sum(reasons.values()), sum(day.event_count for day in days)
    duplicates = sum(day.duplicate_count for day in days)
    days = [day for day in days if day.event_count]  # an earlier day may have all of a day's events
    rows = rejected + kept + duplicates
    if rows == 0:
        raise DataError(f"{dataset.events.path}: holds no events{_span_of(dataset)} ({EVENTS_KEY}.path)")
    if rejected / rows > dataset.events.max_reject_share or kept == 0:
        raise DataError(_too_many_rejects(dataset, event_log, rows, reasons))
    if not reasons:
        pq.write_table(REJECTS_SCHEMA.empty_table(), event_log / REJECTS_FILE)
    first_seen, users, first_ms, last_ms = _scan(event_log)
    unreadable: Counter[str] = Counter()
    raw_items, raw_users = read_items(dataset, unreadable), read_users(dataset, unreadable)
    items = complete_items(raw_items, dataset, first_seen, last_ms)
    all_users = complete_users(raw_users, dataset, users)
    catalogue.mkdir(parents=True, exist_ok=True)
    pq.write_table(items, catalogue / ITEMS_FILE)
    pq.write_table(all_users, catalogue / USERS_FILE)
    summary = EventLogSummary(
        row_count=rows,
        event_count=kept,
        reject_count=rejected,
        duplicate_count=duplicates,
        late_count=sum(day.late_count for day in days) if dataset.events.columns.received else None,
        first_timestamp_ms=first_ms,
        last_timestamp_ms=last_ms,
        reject_reasons=reasons,
        unknown_item_count=items.num_rows - raw_items.num_rows if raw_items is not None else 0,
        unknown_user_count=all_users.num_rows - raw_users.num_rows if raw_users is not None else 0,
        unreadable_features=dict(unreadable),
        days=days,
    )
    (event_log / SUMMARY_FILE).write_text(json.dumps(summary.to_dict(), indent=1))
    for file in (days_file, reasons_file):
        file.unlink(missing_ok=True)
    return summary


def _span_of(dataset: DatasetConfig) -> str:
    first, last = dataset.events.first_day, dataset.events.last_day
    return f" of the days {first or ''}..{last or ''}" if first or last else ""


def _too_many_rejects(dataset: DatasetConfig, event_log: Path, rows: int, reasons: dict[str, int]) -> str:
    rejected, allowed = sum(reasons.values()), dataset.events.max_reject_share
    excess = f"more than {EVENTS_KEY}.max_reject_share allows ({allowed:.1%})" if rejected < rows else "and none is left"
    shown = "; ".join(f"{reason}: {count}" for reason, count in list(reasons.items())[:3])
    first = pq.read_table(event_log / REJECTS_FILE).slice(0, 1).to_pylist()[0]
    return (
        f"{dataset.events.path}: {rejected} of {rows} rows ({rejected / rows:.1%}) do not fit, {excess}. {shown}. "
        f"The first: {Path(first['file']).name} row {first['row']}: {first['content'][:200]}; "
        f"correct the rows or {EVENTS_KEY}, or raise that share; all are in {event_log / REJECTS_FILE}"
    )


def _scan(event_log: Path) -> tuple[dict[str, int], set[str], int, int]:
    """First event of each item, the active users, and the bounds of time; a day at a time."""
    first_seen: dict[str, int] = {}
    users: set[str] = set()
    first_ms, last_ms = 1 << 62, 0
    for path in event_files(event_log):
        day = pq.read_table(path, columns=["user_id", "item_id", "timestamp_ms"])
        firsts = day.group_by("item_id").aggregate([("timestamp_ms", "min")])
        for item, moment in zip(
            firsts.column("item_id").to_pylist(), firsts.column("timestamp_ms_min").to_pylist(), strict=True
        ):
            first_seen.setdefault(item, moment)
        users.update(pc.unique(day.column("user_id")).to_pylist())
        bounds = pc.min_max(day.column("timestamp_ms")).as_py()
        first_ms, last_ms = min(first_ms, bounds["min"]), max(last_ms, bounds["max"])
    return first_seen, users, first_ms, last_ms
