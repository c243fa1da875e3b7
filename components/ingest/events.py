"""Turn raw rows into events, column by column; each row that does not fit goes to the rejects with its reason."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.config.dataset import EventsConfig
from components.errors import DataError
from components.ingest.columns import UNITS, as_id, as_text, fitting_units, is_null, shown, to_ms, to_number
from components.schema.events import CONTEXT_PREFIX, REJECTS_SCHEMA, event_schema

MAX_ID_LENGTH = 256


def event_columns(events: EventsConfig) -> list[tuple[str, str]]:
    """Pairs of config key and source column that an event is made of."""
    named = [
        (f"dataset.events.columns.{part}", column) for part, column in events.columns.model_dump().items() if column is not None
    ]
    context = [(f"dataset.events.context.{name}.column", column.column) for name, column in events.context.items()]
    return named + context


def to_events(batch: pa.RecordBatch, events: EventsConfig, file: Path, first_row: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Split a raw batch into events, in the schema of ``event_schema``, and rejects.

    ``event_id`` is empty in all events where the source has no such column.

    Raises:
      DataError: an id or context column has a type that none can have.
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
        empty = pc.fill_null(pc.equal(made[part], ""), True)
        if part == "request_id":
            made[part] = pc.if_else(empty, pa.scalar(None, pa.string()), made[part])
        else:
            refuse(empty.to_numpy(zero_copy_only=False), f"{part} is empty")
            too_long = pc.greater(pc.utf8_length(made[part]), MAX_ID_LENGTH).fill_null(False)
            refuse(too_long.to_numpy(zero_copy_only=False), f"{part} is longer than {MAX_ID_LENGTH} characters")
    for part, unit in (("timestamp", events.timestamp_unit), ("received", events.timestamp_unit)):
        column = getattr(columns, part)
        if column is None:
            continue
        moments, unreadable, outside = to_ms(batch.column(column), unit)
        made[f"{part}_ms"] = moments
        if part == "timestamp":
            refuse(is_null(batch.column(column)), f"{part} is empty")
            refuse(unreadable, f"{part} cannot be read as {unit}")
            refuse(outside, f"{part} lies outside 1990 to 2100 when read as {unit}")
    for part, kind in (("value", pa.float32()), ("position", pa.int32()), ("propensity", pa.float32())):
        column = getattr(columns, part)
        if column is None:
            continue
        raw = batch.column(column)
        made[part] = to_number(raw, kind)
        wanted = "whole number" if pa.types.is_integer(kind) else "number"
        absent = raw.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        refuse(is_null(made[part]) & ~absent, f"{part} is not a {wanted}, or too large")

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
            name = field.name.removeprefix(CONTEXT_PREFIX)
            column = batch.column(events.context[name].column)
            arrays.append(as_text(column, file, f"dataset.events.context.{name}.column"))
        else:
            arrays.append(pa.nulls(batch.num_rows, field.type))
    loose = pa.schema([field.with_nullable(True) for field in schema])  # until the rejects are out
    kept = pa.RecordBatch.from_arrays(arrays, schema=loose)
    if not good.all():
        kept = kept.filter(pa.array(good))
    return kept.cast(schema), _rejects(batch, reasons, ~good, file, first_row)


def _rejects(batch: pa.RecordBatch, reasons: np.ndarray, bad: np.ndarray, file: Path, first_row: int) -> pa.RecordBatch:
    rows = np.flatnonzero(bad)
    columns = [shown(column) for column in batch.take(pa.array(rows)).columns]
    found = (dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True))
    content = [json.dumps(row, default=str, ensure_ascii=False) for row in found]
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


def numbered(rejects: pa.RecordBatch, malformed: list[int]) -> pa.RecordBatch:
    """Rejects whose rows were counted among the well-formed ones, counted among all.

    Args:
      malformed: numbers of the rows that the reader skipped, ascending.
    """
    # The j-th malformed row (from 0) with number m has m - 1 - j well-formed rows before it.
    well_formed_before = np.asarray(malformed, np.int64) - 1 - np.arange(len(malformed))
    rows = rejects.column("row").to_numpy()
    skipped = np.searchsorted(well_formed_before, rows, side="left")
    return rejects.set_column(rejects.schema.get_field_index("row"), REJECTS_SCHEMA.field("row"), pa.array(rows + skipped))


def check_unit(batch: pa.RecordBatch, events: EventsConfig, file: Path) -> None:
    """Refuse a file none of whose timestamps fit: the unit in the config is wrong.

    Raises:
      DataError: names the unit that would fit.
    """
    column = batch.column(events.columns.timestamp).drop_null()
    if not len(column) or len(to_ms(column, events.timestamp_unit)[0].drop_null()):
        return
    if pa.types.is_timestamp(column.type):
        fitting = fitting_units(column.cast(pa.int64()))
        raise DataError(
            f"{file}: no {events.columns.timestamp!r} of the first {batch.num_rows} rows lies between 1990 and 2100; found "
            f"{shown(column.slice(0, 1))[0]} in a column of type {column.type}"
            + (f", whose numbers would fit as {' or '.join(fitting)}: write the column with that unit" if fitting else "")
        )
    fitting = fitting_units(column)
    raise DataError(
        f"{file}: no {events.columns.timestamp!r} of the first {batch.num_rows} rows can be read as "
        f"{events.timestamp_unit} (dataset.events.timestamp_unit) between 1990 and 2100; found {column[0].as_py()!r}, "
        + (f"which would fit as {' or '.join(fitting)}" if fitting else f"which fits as none of {', '.join(UNITS)}")
    )
