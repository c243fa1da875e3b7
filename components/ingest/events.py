"""Turn raw rows into events, column by column; each row that does not fit goes to the rejects with its reason."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.config.dataset import EventsConfig
from components.errors import DataError
from components.schema.events import CONTEXT_PREFIX, REJECTS_SCHEMA, event_schema

MS_PER_UNIT = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
EARLIEST_MS = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
LATEST_MS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
MAX_ID_LENGTH = 256


def event_columns(events: EventsConfig) -> list[tuple[str, str]]:
    """Pairs of config key and source column that an event is made of."""
    named = [
        (f"dataset.events.columns.{part}", column)
        for part, column in events.columns.model_dump().items()
        if column is not None
    ]
    context = [(f"dataset.events.context.{name}.column", column.column) for name, column in events.context.items()]
    return named + context


def to_events(
    batch: pa.RecordBatch, events: EventsConfig, file: Path, first_row: int
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Split a raw batch into events (schema of ``event_schema``, ``event_id`` empty where the source has none) and rejects.

    Raises:
      DataError: a whole column has a type that cannot be what its config key says.
    """
    columns = events.columns
    reasons = np.full(batch.num_rows, None, dtype=object)

    def refuse(bad: np.ndarray, reason: str) -> None:
        reasons[bad & (reasons == None)] = reason  # noqa: E711  element by element

    made: dict[str, pa.Array] = {}
    for part in ("user_id", "item_id", "event_id", "request_id", "type"):
        column = getattr(columns, part)
        if column is None:
            continue
        made[part] = as_id(batch.column(column), file, f"dataset.events.columns.{part}")
        if part != "request_id":
            refuse(_is_null(made[part]), f"{part} is empty")
            too_long = pc.greater(pc.utf8_length(made[part]), MAX_ID_LENGTH).fill_null(False)
            refuse(too_long.to_numpy(zero_copy_only=False), f"{part} is longer than {MAX_ID_LENGTH} characters")
    for part, unit in (("timestamp", events.timestamp_unit), ("received", events.timestamp_unit)):
        column = getattr(columns, part)
        if column is None:
            continue
        moments, unreadable, outside = to_ms(batch.column(column), unit)
        made[f"{part}_ms"] = moments
        if part == "timestamp":
            refuse(_is_null(batch.column(column)), f"{part} is empty")
            refuse(unreadable, f"{part} cannot be read as {unit}")
            refuse(outside, f"{part} lies outside 1990–2100 when read as {unit}")
    for part, kind in (("value", pa.float32()), ("position", pa.int32()), ("propensity", pa.float32())):
        column = getattr(columns, part)
        if column is None:
            continue
        raw = batch.column(column)
        made[part] = to_number(raw, kind)
        refuse(_is_null(made[part]) & ~_is_null(raw), f"{part} is not a number")

    good = reasons == None  # noqa: E711
    schema = event_schema(tuple(events.context))
    arrays = []
    for field in schema:
        if field.name in made:
            arrays.append(made[field.name])
        elif field.name == "type":
            arrays.append(pa.repeat(pa.scalar(events.type), batch.num_rows))
        elif field.name == "event_id":
            arrays.append(pa.repeat(pa.scalar(""), batch.num_rows))
        elif field.name.startswith(CONTEXT_PREFIX):
            context = events.context[field.name.removeprefix(CONTEXT_PREFIX)]
            arrays.append(batch.column(context.column).cast(pa.string()))
        else:
            arrays.append(pa.nulls(batch.num_rows, field.type))
    loose = pa.schema([field.with_nullable(True) for field in schema])  # until the rejects are out
    kept = pa.RecordBatch.from_arrays(arrays, schema=loose)
    if not good.all():
        kept = kept.filter(pa.array(good))
    return kept.cast(schema), _rejects(batch, reasons, ~good, file, first_row)


def _rejects(batch: pa.RecordBatch, reasons: np.ndarray, bad: np.ndarray, file: Path, first_row: int) -> pa.RecordBatch:
    rows = np.flatnonzero(bad)
    content = [json.dumps(row, default=str, ensure_ascii=False) for row in batch.take(pa.array(rows)).to_pylist()]
    return reject_batch(file, [first_row + int(row) + 1 for row in rows], list(reasons[rows]), content)


def reject_batch(file: Path, rows: list[int], reasons: list[str], content: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([str(file)] * len(rows), pa.string()),
            pa.array(rows, pa.int64()),
            pa.array(reasons, pa.string()),
            pa.array(content, pa.string()),
        ],
        schema=REJECTS_SCHEMA,
    )


def as_id(column: pa.Array, file: Path, key: str) -> pa.Array:
    """Ids as strings; integers are written in decimal.

    Raises:
      DataError: the column holds something that is no id, such as floats (12 and 12.0 would be two items).
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    raise DataError(
        f"{file}: {key} is a column of type {kind}; wanted text or integers, since ids are compared letter by letter"
    )


def to_ms(column: pa.Array, unit: str) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Moments in ms UTC, with masks of the unreadable and of those outside 1990–2100."""
    empty = _is_null(column)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        numbers = column.cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
    elif unit == "iso8601":
        numbers = _parse_iso8601(column)
    else:
        raw = to_number(column, pa.float64()).to_numpy(zero_copy_only=False)
        numbers = raw * MS_PER_UNIT[unit]
    unreadable = np.isnan(numbers) & ~empty
    outside = ~np.isnan(numbers) & ((numbers < EARLIEST_MS) | (numbers >= LATEST_MS))
    bad = np.isnan(numbers) | outside
    moments = np.where(bad, 0, np.round(np.where(bad, 0, numbers))).astype(np.int64)
    return pa.array(moments, mask=bad), unreadable, outside


def _parse_iso8601(column: pa.Array) -> np.ndarray:
    """ms UTC as float64, NaN where a text is no ISO 8601 moment; one without a zone counts as UTC."""

    def parse(text: str | None) -> float:
        try:
            moment = datetime.fromisoformat(text or "")
        except ValueError:
            return np.nan
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000

    try:  # the whole column at once, where it is uniform
        moments = column.cast(pa.string()).cast(pa.timestamp("ms", tz="UTC"))
        return moments.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
    except pa.ArrowInvalid:
        return np.array([parse(text) for text in column.cast(pa.string()).to_pylist()])


def to_number(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column as numbers, null where a value is none."""
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        pass
    if not pa.types.is_string(column.type):
        return column.cast(kind, safe=False)

    def parse(text: str | None) -> float | None:
        try:
            number = float(text) if text is not None else None
        except ValueError:
            return None
        return number if number is None or np.isfinite(number) else None

    numbers = pa.array([parse(text) for text in column.to_pylist()], pa.float64())
    return numbers.cast(kind, safe=False)


def _is_null(column: pa.Array) -> np.ndarray:
    return column.is_null().to_numpy(zero_copy_only=False)


def unit_hint(timestamps: pa.Array, unit: str) -> str:
    """What a rejected timestamp would be in each unit, for the error of a run that refuses too many."""
    if not len(timestamps) or unit == "iso8601":
        return ""
    number = to_number(timestamps.slice(0, 1), pa.float64())[0].as_py()
    if number is None:
        return ""
    fitting = [
        f"{other} ({datetime.fromtimestamp(number * factor / 1000, UTC):%Y-%m-%d})"
        for other, factor in MS_PER_UNIT.items()
        if EARLIEST_MS <= number * factor < LATEST_MS
    ]
    return f"; {number:.0f} would fit as {' or '.join(fitting)}" if fitting else ""


def check_unit(batch: pa.RecordBatch, events: EventsConfig, file: Path) -> None:
    """Refuse a file none of whose timestamps fit: the unit in the config is wrong.

    Raises:
      DataError: names the unit that would fit.
    """
    column = batch.column(events.columns.timestamp)
    _, _, outside = to_ms(column, events.timestamp_unit)
    if batch.num_rows and outside.all():
        raise DataError(
            f"{file}: every {events.columns.timestamp!r} of the first {batch.num_rows} rows lies outside 1990–2100 when read "
            f"as {events.timestamp_unit} (dataset.events.timestamp_unit){unit_hint(column, events.timestamp_unit)}"
        )
