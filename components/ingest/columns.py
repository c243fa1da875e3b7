"""Read a raw column, of whatever type its file gave it, as ids, numbers or moments."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.errors import DataError

MS_PER_UNIT = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
UNITS = (*MS_PER_UNIT, "iso8601")
EARLIEST_MS = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
LATEST_MS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def as_id(column: pa.Array, file: Path, key: str) -> pa.Array:
    """Ids as strings; integers are written in decimal.

    Raises:
      DataError: the column holds something that is no id, such as floats (12 and 12.0 would be two items).
    """
    kind = column.type
    if is_text(kind) or pa.types.is_integer(kind):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    raise DataError(
        f"{file}: {key} is a column of type {kind}; wanted text or integers, since ids are compared letter by letter: "
        "write the column as one of these (pandas makes floats of integers with gaps; its type Int64 does not)"
    )


def as_text(column: pa.Array, file: Path, key: str) -> pa.Array:
    """Any single values as strings.

    Raises:
      DataError: the column holds lists or the like.
    """
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{file}: {key} is a column of type {column.type}; wanted text or numbers") from error


def to_ms(column: pa.Array, unit: str) -> tuple[pa.Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Moments in ms UTC, with masks of the unreadable and of those outside 1990 to 2100; null for both and for null."""
    empty = is_null(column)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        in_ms = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
        numbers = in_ms.to_numpy(zero_copy_only=False).astype(np.float64)
    elif unit == "iso8601":
        numbers = _parse_iso8601(column)
    else:
        numbers = _floats(column) * MS_PER_UNIT[unit]
    unreadable = np.isnan(numbers) & ~empty
    outside = ~np.isnan(numbers) & ((numbers < EARLIEST_MS) | (numbers >= LATEST_MS))
    bad = np.isnan(numbers) | outside
    moments = np.round(np.where(bad, 0, numbers)).astype(np.int64)
    return pa.array(moments, mask=bad), unreadable, outside


def to_number(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column as numbers of ``kind``, null where a value is none, is not finite or does not fit into ``kind``."""
    numbers = _floats(column)
    dtype = np.dtype(kind.to_pandas_dtype())
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    bad = ~((numbers >= float(limits.min)) & (numbers <= float(limits.max)))
    if dtype.kind == "i":
        bad |= numbers != np.round(numbers)
    return pa.array(np.where(bad, 0, numbers).astype(dtype), mask=bad)


def fitting_units(column: pa.Array) -> list[str]:
    """In which units the column's first value is a moment between 1990 and 2100, each with the day that it would be."""
    fitting = []
    for unit in UNITS:
        moment = to_ms(column.slice(0, 1), unit)[0][0].as_py()
        if moment is not None:
            fitting.append(f"{unit} ({datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d})")
    return fitting


def shown(column: pa.Array) -> list[Any]:
    """The values as Python has them; moments outside its years as the numbers that they are stored as."""
    try:
        return column.to_pylist()
    except (OverflowError, ValueError):
        return column.cast(pa.int64()).to_pylist()


def is_null(column: pa.Array) -> NDArray[np.bool_]:
    return column.is_null().to_numpy(zero_copy_only=False)


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _floats(column: pa.Array) -> NDArray[np.float64]:
    """float64 [n], NaN where a value is null, no number, or of a type that has none."""
    if is_text(column.type):
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid:
            trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
            is_number = pc.match_substring_regex(trimmed, NUMBER)
            column = pc.if_else(is_number, trimmed, pa.scalar(None, pa.string())).cast(pa.float64())
    else:
        try:
            column = column.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return np.full(len(column), np.nan)
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


def _parse_iso8601(column: pa.Array) -> NDArray[np.float64]:
    """ms UTC, NaN where a value is no ISO 8601 moment; one without a zone counts as UTC."""
    if not is_text(column.type):
        return np.full(len(column), np.nan)
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    for kind in (pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
        try:  # the whole column at once, where it is uniform
            return texts.cast(kind).cast(pa.int64()).to_numpy(zero_copy_only=False) / 1000
        except pa.ArrowInvalid:
            continue
    return np.array([_moment_ms(text) for text in texts.to_pylist()], np.float64)


def _moment_ms(text: str | None) -> float:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
