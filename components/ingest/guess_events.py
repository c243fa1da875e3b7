"""Which column of an event file plays which part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.errors import DataError
from components.ingest import guess_words as known
from components.ingest.columns import as_id
from components.ingest.guess_columns import MANY_VALUES, Column, by_name
from components.ingest.sniff import Sample

NEEDED = ("timestamp", "user_id", "item_id")
MOST_TYPES = 50
NEARLY_EVERY = 0.9


@dataclass(frozen=True)
class EventParts:
    """What an event file is taken for.

    Attributes:
      parts: key of ``dataset.events.columns`` → its column.
      why: the same key → the reason.
      unit, unit_why: of the timestamps.
      context: columns that are known when a request arrives.
      left_out: columns that play no part, with the reason.
    """

    parts: dict[str, Column]
    why: dict[str, str]
    unit: str
    unit_why: str
    context: list[Column]
    left_out: list[tuple[str, str]]


def guess_events(sample: Sample) -> EventParts:
    """The parts that the columns of an event file play.

    Raises:
      DataError: there is no column of users, of items or of times.
    """
    pool = sample.columns()
    rows = sample.rows.num_rows
    parts: dict[str, Column] = {}
    why: dict[str, str] = {}

    def take(part: str, candidates: Sequence[Column], reason: str) -> None:
        if candidates:
            parts[part], why[part] = candidates[0], reason
            if len(candidates) > 1:
                why[part] += f"; or {', '.join(repr(each.name) for each in candidates[1:])}"
            pool.remove(candidates[0])

    def named(words: Sequence[str], fits: Callable[[Column], bool] = lambda _: True) -> list[Column]:
        return by_name([column for column in pool if len(column.present) and fits(column)], words)

    take("timestamp", *_times(pool))
    take("user_id", named(known.USER, _is_person), "by its name")
    take("item_id", named(known.ITEM, lambda each: not each.is_nested), "by its name")
    _check_needed(parts, sample)
    unit = parts["timestamp"].unit or "s"
    typed = pa.types.is_temporal(parts["timestamp"].values.type)
    unit_why = "of no consequence: the times are typed" if typed else "in which the times lie between 1990 and 2100"
    received = [column for column in pool if column.has(known.RECEIVED) and column.unit == unit]
    take("received", received, "by its name; an event long under way is counted as late")
    take("request_id", named(known.REQUEST, lambda each: each.is_id and each.is_named_id), "what was shown together")
    unlike = [column for column in pool if column.is_id and column.distinct >= NEARLY_EVERY * rows]
    event_ids = [column for column in by_name(unlike, known.EVENT) if column.is_named_id]
    event_ids += [column for column in unlike if column.words == ["id"]]
    take("event_id", event_ids, "differs in nearly every row; events with the same id count once")
    take("type", named(known.TYPE, _is_type), "few values: what the user did")
    take("position", named(known.POSITION, lambda each: each.is_whole), "place in the list that was shown")
    take("propensity", named(known.PROPENSITY, _is_probability), "between 0 and 1: how likely the item was to be shown")
    take("value", named(known.VALUE, lambda each: each.numbers is not None), "numbers: how good, how long, how much")
    context = [column for column in pool if not _why_no_context(column)]
    left_out = [(column.name, reason) for column in pool if (reason := _why_no_context(column))]
    return EventParts(parts, why, unit, unit_why, context, left_out)


def _why_no_context(column: Column) -> str:
    if column.is_nested:
        return f"its type is {column.values.type}; wanted single values"
    if not column.has(known.CONTEXT):
        return "nothing says that it is known when a request arrives; if it is, put it under context"
    if not 1 < column.distinct <= MANY_VALUES:
        return f"{column.distinct} different values; a context has from 2 to {MANY_VALUES}"
    return ""


def _is_person(column: Column) -> bool:
    return not column.is_nested and (column.is_named_id or not column.has(known.CONTEXT))


def _is_type(column: Column) -> bool:
    return column.is_id and column.distinct <= MOST_TYPES and not column.is_named_id


def _is_probability(column: Column) -> bool:
    return column.numbers is not None and bool(np.all((column.numbers > 0) & (column.numbers <= 1)))


def _times(pool: list[Column]) -> tuple[list[Column], str]:
    moments = [column for column in pool if column.unit is not None and not column.has(known.RECEIVED)]

    def place(column: Column) -> int:
        return min(known.TIME.index(word) for word in column.words if word in known.TIME)

    named = sorted((column for column in moments if column.has(known.TIME)), key=place)
    if named:
        return named, "by its name and values"
    typed = [column for column in moments if pa.types.is_temporal(column.values.type) or column.unit == "iso8601"]
    alone = typed or moments
    return (alone, "the only column whose values are moments") if len(alone) == 1 else ([], "")


def _check_needed(parts: dict[str, Column], sample: Sample) -> None:
    wanted = {
        "user_id": f"of users ({', '.join(known.USER[:6])}, … with or without id)",
        "item_id": f"of items ({', '.join(known.ITEM[:6])}, … with or without id)",
        "timestamp": "of times (a name such as timestamp, time, date or created; as values ISO 8601, or seconds, ms, "
        "us or ns since 1970)",
    }
    missing = [text for part, text in wanted.items() if part not in parts]
    if missing:
        raise DataError(
            f"{sample.file}: found the columns {', '.join(map(repr, sample.rows.column_names))}, but among them none "
            f"{' and none '.join(missing)}; rename the column, or write the config by hand, where any name will do "
            "(dataset.events.columns)"
        )
    for part in ("user_id", "item_id"):
        as_id(parts[part].values, sample.file, parts[part].name)
