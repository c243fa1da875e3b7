import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config import PipelineConfig, parse_config
from components.features.seen import padded, seen_before

ITEM_IDS = pa.array(["a", "b", "c", "d"])


def config(**changes: object) -> PipelineConfig:
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t", "type": "k"}
    dataset = {"events": {"path": "x.csv", "columns": columns}, "tasks": {"buy": {"event": "buy"}}}
    return parse_config(json.dumps({"name": "shop", "dataset": dataset, **changes}), origin="test")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two days: u has a at 10, b at 20 and again at 40, c at 30 (shown only); v has d at 5."""
    days = {
        "2025-01-01": [("u", "a", 10, "buy"), ("v", "d", 5, "buy"), ("u", "b", 20, "view")],
        "2025-01-02": [("u", "c", 30, "shown"), ("u", "b", 40, "buy")],
    }
    for day, events in days.items():
        columns = dict(zip(("user_id", "item_id", "timestamp_ms", "type"), map(list, zip(*events, strict=True)), strict=True))
        (tmp_path / f"day={day}").mkdir()
        pq.write_table(pa.table(columns), tmp_path / f"day={day}" / "part-00000.parquet")
    return tmp_path


def seen(log: Path, settings: PipelineConfig, *moments: tuple[str, int]) -> list[set[int]]:
    users, times = (list(each) for each in zip(*moments, strict=True))
    rows = seen_before(log, ITEM_IDS, settings, np.array(users, object), np.array(times, np.int64))
    assert rows.dtype == np.int32
    return [set(line) - {-1} for line in rows.tolist()]


def test_only_what_was_strictly_before(log: Path) -> None:
    moments = [("u", 10), ("u", 11), ("u", 20), ("u", 21), ("u", 31), ("v", 5), ("v", 6)]
    assert seen(log, config(), *moments) == [set(), {0}, {0}, {0, 1}, {0, 1, 2}, set(), {3}]


def test_each_item_once_and_users_apart(log: Path) -> None:
    rows = seen_before(log, ITEM_IDS, config(), np.array(["u", "v"], object), np.array([100, 100]))
    np.testing.assert_array_equal(rows, [[0, 1, 2], [3, -1, -1]])


def test_impressions_are_not_had(log: Path) -> None:
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t", "type": "k", "request_id": "r"}
    dataset = {"events": {"path": "x.csv", "columns": columns}, "tasks": {"buy": {"event": "buy"}}}
    logged = config(dataset=dataset, samples={"impressions": "shown"})
    assert seen(log, logged, ("u", 100)) == [{0, 1}]
    assert seen(log, config(samples={"history_types": ["buy"]}), ("u", 35), ("u", 100)) == [{0}, {0, 1}]


def test_a_user_without_events_has_seen_nothing(log: Path) -> None:
    assert seen(log, config(), ("w", 100), ("u", 11)) == [set(), {0}]


def test_switched_off_nothing_is_seen(log: Path) -> None:
    settings = config(evaluation={"exclude_seen": False})
    assert seen_before(log, ITEM_IDS, settings, np.array(["u"], object), np.array([100])).shape == (1, 0)


def test_padded() -> None:
    np.testing.assert_array_equal(padded([np.array([1, 2]), np.array([]), np.array([3])]), [[1, 2], [-1, -1], [3, -1]])
    assert padded([]).shape == (0, 0)
