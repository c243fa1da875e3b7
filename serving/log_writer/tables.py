"""Entries of the stream → rows of the online log's tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from components.schema.events import CONTEXT_PREFIX, event_schema
from serving.records import EventRecord, ShownRecord, parse_record

EVENTS, SHOWN, REJECTS = "events", "shown", "rejects"
STREAM_ID = "stream_id"
RECORD_ID = {EVENTS: "event_id", SHOWN: "request_id"}  # what tells a record from others, whatever entry brings it
_PLACE = pa.struct(
    [
        pa.field("position", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("score", pa.float32()),  # null where no ranker answered
        pa.field("propensity", pa.float32(), nullable=False),
        pa.field("tasks", pa.map_(pa.string(), pa.float32()), nullable=False),
        pa.field("sources", pa.list_(pa.string()), nullable=False),
    ]
)
_SHOWN_FIELDS = (
    pa.field("request_id", pa.string(), nullable=False),
    pa.field("user_id", pa.string()),  # null: an anonymous visitor
    pa.field("timestamp_ms", pa.int64(), nullable=False),
    pa.field("release", pa.int64(), nullable=False),
    pa.field("places", pa.list_(_PLACE), nullable=False),
    pa.field("experiments", pa.map_(pa.string(), pa.string()), nullable=False),  # experiment → arm
    pa.field("fallbacks", pa.list_(pa.string()), nullable=False),
    pa.field("features", pa.string(), nullable=False),  # JSON: inputs of a predict request in column form
)
_REJECT_FIELDS = (
    pa.field("reason", pa.string(), nullable=False),
    pa.field("content", pa.string(), nullable=False),
)
_ENTRY = pa.field(STREAM_ID, pa.string(), nullable=False)


def to_tables(entries: Mapping[str, str]) -> dict[str, pa.Table]:
    """The rows that the entries (stream id → record in JSON) become, in the entries' order; tables without rows left out.

    ``events`` has the columns of ``event_schema`` and one row for each event and each place of a list that a known user
    was shown; ``shown`` one row for each list; ``rejects`` what is no record, with the reason.
    """
    rows: dict[str, list[dict[str, Any]]] = {EVENTS: [], SHOWN: [], REJECTS: []}
    context: set[str] = set()
    for stream_id, text in entries.items():
        try:
            record = parse_record(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']}"
            rows[REJECTS].append({STREAM_ID: stream_id, "reason": reason, "content": text})
            continue
        context.update(record.context)
        if isinstance(record, EventRecord):
            rows[EVENTS].append({STREAM_ID: stream_id, **_event(record)})
            continue
        rows[SHOWN].append({STREAM_ID: stream_id, **_shown(record)})
        rows[EVENTS] += [{STREAM_ID: stream_id, **impression} for impression in _impressions(record)]
    names = tuple(sorted(context))
    contexts = [pa.field(CONTEXT_PREFIX + name, pa.string()) for name in names]
    schemas: dict[str, Iterable[pa.Field]] = {
        EVENTS: event_schema(names),
        SHOWN: [*_SHOWN_FIELDS, *contexts],
        REJECTS: _REJECT_FIELDS,
    }
    return {
        table: pa.Table.from_pylist(found, schema=pa.schema([_ENTRY, *schemas[table]]))
        for table, found in rows.items()
        if found
    }


def _event(record: EventRecord) -> dict[str, Any]:
    return {**record.model_dump(exclude={"kind", "context"}), **_context(record.context)}


def _shown(record: ShownRecord) -> dict[str, Any]:
    return {
        **record.model_dump(include={"request_id", "user_id", "timestamp_ms", "release", "fallbacks"}),
        "experiments": list(record.experiments.items()),
        "places": [{**place.model_dump(), "tasks": list(place.tasks.items())} for place in record.places],
        "features": json.dumps(record.features),
        **_context(record.context),
    }


def _impressions(record: ShownRecord) -> Sequence[dict[str, Any]]:
    if record.user_id is None:
        return []  # an event has a user; what visitors are shown is in the other table
    return [
        {
            "event_id": f"{record.request_id}:{place.position}",
            "user_id": record.user_id,
            "item_id": place.item_id,
            "type": record.type,
            "timestamp_ms": record.timestamp_ms,
            "received_ms": record.received_ms,
            "request_id": record.request_id,
            "position": place.position,
            "propensity": place.propensity,
            **_context(record.context),
        }
        for place in record.places
    ]


def _context(context: Mapping[str, str | None]) -> dict[str, str | None]:
    return {CONTEXT_PREFIX + name: value for name, value in context.items()}
