"""The columns that a simulation is written as."""

import numpy as np
import pyarrow as pa

from components.datasets.synthetic.behaviour import EventBlock
from components.datasets.synthetic.items import CATEGORIES
from components.datasets.synthetic.users import AGE_GROUPS, COUNTRIES, DEVICES
from components.datasets.synthetic.world import World

EVENTS_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),  # impression, click
        pa.field("value", pa.float32()),  # of a click: seconds of dwell
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("received_ms", pa.int64(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),  # from 0
        pa.field("propensity", pa.float32()),  # of an impression
        pa.field("device", pa.string(), nullable=False),
    ]
)
TRUTH_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),  # of an impression
        pa.field("click_prob", pa.float32(), nullable=False),
        pa.field("preference", pa.float32(), nullable=False),
    ]
)
ID_DIGITS = 6


def ids(prefix: str, numbers: np.ndarray, count: int) -> pa.StringArray:
    """``u000123`` for 123: one letter and at least six digits, as many as the largest of ``count`` numbers takes.

    The digits are written straight into Arrow's buffers: twenty times as fast as formatting each number.
    """
    digit_count = max(ID_DIGITS, len(str(count - 1)))
    width = 1 + digit_count
    text = np.empty((len(numbers), width), np.uint8)
    text[:, 0] = ord(prefix)
    left = numbers.astype(np.int64)
    for place in range(digit_count, 0, -1):
        left, digit = np.divmod(left, 10)
        text[:, place] = digit + ord("0")
    offsets = np.arange(0, (len(numbers) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


def event_ids(world: World, block: EventBlock) -> pa.StringArray:
    return ids("e", block.event, world.config.events)


def events_table(world: World, block: EventBlock) -> pa.RecordBatch:
    """The block as `EVENTS_SCHEMA`."""
    config = world.config
    columns = [
        event_ids(world, block),
        ids("u", block.user, config.user_count),
        ids("i", block.item, config.item_count),
        _named(("impression", "click"), block.is_click),
        pa.array(block.dwell_s, mask=~block.is_click),
        block.timestamp_ms,
        block.received_ms,
        ids("r", block.request, config.events),
        block.position,
        pa.array(block.propensity, mask=block.is_click),
        _named(DEVICES, block.device),
    ]
    return pa.record_batch(columns, schema=EVENTS_SCHEMA)


def truth_table(world: World, block: EventBlock) -> pa.RecordBatch:
    """The truth about each impression of the block, once, as `TRUTH_SCHEMA`."""
    once = block.take(~block.is_click & ~block.is_repeat)
    return pa.record_batch([event_ids(world, once), once.click_prob, once.preference], schema=TRUTH_SCHEMA)


def items_table(world: World) -> pa.Table:
    """``item_id, title, category, tags`` (list of strings), ``price, created_ms``, one row an item."""
    items = world.items
    has_tag = items.tags >= 0
    offsets = np.concatenate([[0], np.cumsum(has_tag.sum(axis=1))]).astype(np.int32)
    return pa.table(
        {
            "item_id": ids("i", np.arange(world.config.item_count), world.config.item_count),
            "title": pa.array(items.title, pa.string()),
            "category": _named(CATEGORIES, items.category),
            "tags": pa.ListArray.from_arrays(offsets, _named(items.tag_names, items.tags[has_tag])),
            "price": items.price,
            "created_ms": items.created_ms,
        }
    )


def users_table(world: World) -> pa.Table:
    """``user_id, country, age_group, created_ms``, one row a user."""
    users = world.users
    return pa.table(
        {
            "user_id": ids("u", np.arange(world.config.user_count), world.config.user_count),
            "country": _named(COUNTRIES, users.country),
            "age_group": _named(AGE_GROUPS, users.age_group),
            "created_ms": users.created_ms,
        }
    )


def _named(names: tuple[str, ...] | list[str] | np.ndarray, index: np.ndarray) -> pa.StringArray:
    return pa.array(names, pa.string()).take(pa.array(index.astype(np.int32)))
