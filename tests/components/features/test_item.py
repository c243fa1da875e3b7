"""Features of an item as of the first moment of a day."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.features.item import ItemDays
from components.schema.catalogue import ITEMS_FILE, items_schema
from components.schema.events import ITEM_DAYS_FILE, ITEM_DAYS_SCHEMA, MS_PER_DAY

FIRST = 19_723  # 2024-01-01


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A log of three days and a catalogue of three items, of which c has no event."""
    days = [(0, "a", "view", 3), (0, "b", "view", 1), (0, "a", "buy", 1), (2, "a", "view", 5), (2, "b", "buy", 2)]
    rows = [{"day": FIRST + day, "item_id": item, "type": kind, "event_count": count} for day, item, kind, count in days]
    pq.write_table(pa.Table.from_pylist(rows, schema=ITEM_DAYS_SCHEMA), tmp_path / ITEM_DAYS_FILE)
    created = [(FIRST - 10) * MS_PER_DAY, FIRST * MS_PER_DAY + MS_PER_DAY // 2, FIRST * MS_PER_DAY]
    items = [{"item_id": item, "title": item, "created_ms": moment} for item, moment in zip("abc", created, strict=True)]
    pq.write_table(pa.Table.from_pylist(items, schema=items_schema({})), tmp_path / ITEMS_FILE)
    return tmp_path, tmp_path


def test_a_row_holds_what_came_before_its_day(folders: tuple[Path, Path]) -> None:
    days = ItemDays.load(*folders, types=None)
    assert days.first_day == FIRST
    assert days.total.tolist() == [
        [0, 0, 0],  # before 2024-01-01
        [4, 1, 0],  # before 01-02: a has 3 views and a purchase
        [4, 1, 0],  # before 01-03: nothing happened on 01-02
        [9, 3, 0],  # before 01-04, the log's end
    ]
    assert days.created_day.tolist() == [FIRST - 10, FIRST + 0.5, FIRST]


def test_only_some_types(folders: tuple[Path, Path]) -> None:
    days = ItemDays.load(*folders, types=("buy",))
    # The days are the log's, though no purchase lies on all of them.
    assert days.first_day == FIRST
    assert days.total.tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 2, 0]]


def test_the_row_of_a_moment(folders: tuple[Path, Path]) -> None:
    days = ItemDays.load(*folders, types=None)
    moments = np.array(
        [
            FIRST * MS_PER_DAY - 1,  # before the log: its first row
            FIRST * MS_PER_DAY,
            (FIRST + 1) * MS_PER_DAY - 1,
            (FIRST + 1) * MS_PER_DAY,
            (FIRST + 2) * MS_PER_DAY + 5,
            (FIRST + 3) * MS_PER_DAY,
            (FIRST + 400) * MS_PER_DAY,  # long after it: its last row
        ]
    )
    assert days.row(moments).tolist() == [0, 0, 0, 1, 2, 3, 3]
