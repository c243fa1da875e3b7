"""The stream tier's trends over a release."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.errors import ArtifactError
from components.schema.trends import COMMITTED_FILE, TRENDS_FILE, TRENDS_SCHEMA, batch_folder
from components.trends.hours import write_table
from serving.gateway.live_trends import LiveTrends
from serving.gateway.overlay import overlaid
from serving.gateway.release import Release
from serving.item_store import ItemChange, LiveItem


def commit(stream: Path, batch: int, *items: str) -> None:
    """A batch in which these items trend, best first; others trend over the week, and among impressions."""
    rows = [
        {"period": period, "type": type_, "rank": rank, "item_id": item, "event_count": 9}
        for period, type_, listed in (("day", None, items), ("day", "impression", ("i1",)), ("week", None, ("i0",)))
        for rank, item in enumerate(listed, start=1)
    ]
    folder = batch_folder(stream, batch)
    folder.mkdir(parents=True)
    write_table(pa.Table.from_pylist(rows[::-1], schema=TRENDS_SCHEMA), folder / TRENDS_FILE)
    (stream / COMMITTED_FILE).write_text(str(batch))


def test_what_trends_now_comes_first(release: Release, tmp_path: Path) -> None:
    trends = LiveTrends(tmp_path)
    trends.refresh()
    assert not trends.behind(release)  # there is no batch yet
    commit(tmp_path, 1, "i6", "unknown", "i3")
    trends.refresh()
    assert trends.behind(release)
    now = trends.over(release)
    assert now.trending.tolist() == [6, 3, 2, 4, 5, 0, 1]
    assert not trends.behind(now)
    commit(tmp_path, 2, "i1")
    trends.refresh()
    assert trends.over(now).trending.tolist() == [1, 2, 3, 4, 5, 6, 0]  # what trended before leaves nothing behind


def test_items_changed_while_it_is_served(release: Release, tmp_path: Path) -> None:
    commit(tmp_path, 1, "new", "i2", "i6")
    trends = LiveTrends(tmp_path)
    trends.refresh()
    put = ItemChange("new", 1, LiveItem("New", 0, {}))
    live = overlaid(release, [put, ItemChange("i2", 2, None)], np.ones((1, release.vectors.shape[1]), np.float32), 2)
    now = trends.over(live)
    assert now.trending.tolist() == [7, 6, 3, 4, 5, 0, 1]  # the item put in has row 7; i2 is withdrawn
    assert now.live_number == 2
    assert now.unranked(np.array([6, 7], np.int32)).tolist() == [False, True]


def test_what_was_read_stays_while_nothing_can_be(release: Release, tmp_path: Path) -> None:
    commit(tmp_path, 1, "i6")
    trends = LiveTrends(tmp_path)
    trends.refresh()
    (tmp_path / COMMITTED_FILE).write_text("2")
    with pytest.raises(ArtifactError, match=r"trends\.parquet: cannot be read"):
        trends.refresh()
    assert trends.over(release).trending[0] == 6


def test_without_a_stream_tier(release: Release) -> None:
    trends = LiveTrends(None)
    trends.refresh()
    assert not trends.behind(release)
