"""An hour's counters: each event once, however it comes."""

import itertools
from pathlib import Path

import pyarrow as pa
import pytest

from components.errors import ArtifactError
from components.schema.events import MS_PER_HOUR
from components.schema.trends import COUNTS_FILE
from components.trends.hours import HOURS_AHEAD, HOURS_KEPT, HourCounts, split_by_hour

HOUR = 473_352  # 2024-01-01 00:00 UTC
Row = tuple[str, str, str, int]


def events(*rows: Row) -> pa.Table:
    """Of (id, item, type, ms since the hour's beginning)."""
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], []]
    types = (pa.string(), pa.string(), pa.string(), pa.int64())
    made = [pa.array(list(column), type_) for column, type_ in zip(columns, types, strict=True)]
    table = pa.table(made, ["event_id", "item_id", "type", "timestamp_ms"])
    return table.set_column(3, "timestamp_ms", pa.array([HOUR * MS_PER_HOUR + row[3] for row in rows], pa.int64()))


CLICKS: list[Row] = [("1", "b", "click", 5), ("2", "a", "view", 0), ("3", "b", "click", 9), ("4", "b", "view", 2)]


def test_counts_by_item_and_type() -> None:
    assert HourCounts.empty().fold(events(*CLICKS)).counts.to_pylist() == [
        {"item_id": "a", "type": "view", "event_count": 1},
        {"item_id": "b", "type": "click", "event_count": 2},
        {"item_id": "b", "type": "view", "event_count": 1},
    ]


def test_an_event_that_comes_again_changes_nothing() -> None:
    once = HourCounts.empty().fold(events(*CLICKS))
    again = once.fold(events(*CLICKS[1:3], *CLICKS[1:3]))
    assert again.counts.equals(once.counts)
    assert again.ids.tolist() == once.ids.tolist()
    assert len(once.ids) == 4


def test_order_and_cuts_change_nothing(tmp_path: Path) -> None:
    whole = HourCounts.empty().fold(events(*CLICKS))
    whole.save(tmp_path / "whole")
    wanted = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    for number, order in enumerate(itertools.permutations(CLICKS)):
        parts = HourCounts.empty().fold(events(*order[:2])).fold(events(*order[1:]))
        parts.save(tmp_path / str(number))
        assert {path.name: path.read_bytes() for path in (tmp_path / str(number)).iterdir()} == wanted


def test_what_was_saved_goes_on(tmp_path: Path) -> None:
    HourCounts.empty().fold(events(*CLICKS[:3])).save(tmp_path)
    later = HourCounts.load(tmp_path).fold(events(*CLICKS))
    assert later.counts.equals(HourCounts.empty().fold(events(*CLICKS)).counts)


def test_a_damaged_hour_is_told(tmp_path: Path) -> None:
    HourCounts.empty().fold(events(*CLICKS)).save(tmp_path)
    (tmp_path / COUNTS_FILE).write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match=r"is no readable hour of the stream tier"):
        HourCounts.load(tmp_path)


def test_hours_that_are_kept() -> None:
    first, last = 1 - HOURS_KEPT, HOURS_AHEAD  # beside the hour of arrival
    moments = [first * MS_PER_HOUR - 1, first * MS_PER_HOUR, -1, 0, (last + 1) * MS_PER_HOUR - 1, (last + 1) * MS_PER_HOUR]
    table = events(*((str(number), "a", "view", moment) for number, moment in enumerate(moments)))
    pieces, late, ahead = split_by_hour(table.combine_chunks().to_batches()[0], HOUR)
    assert [(hour - HOUR, piece.num_rows) for hour, piece in pieces] == [(first, 1), (-1, 1), (0, 1), (last, 1)]
    assert (late, ahead) == (1, 1)
