import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import ArtifactError
from components.report.data import by_day
from components.report.read import CURVE_POINTS, popularity, read_record
from components.report.record import TopItem


def test_popularity_adds_days_and_types_and_ranks_items() -> None:
    table = pa.table({"item_id": ["a", "b", "a", "c", "d", "e"], "event_count": [3, 2, 4, 1, 1, 1]})
    found = popularity(table)
    assert found.rank == [1, 2, 3, 4, 5]
    assert found.event_count == [7, 2, 1, 1, 1]
    assert (found.item_count, found.event_total) == (5, 12)
    assert found.head_share == pytest.approx(7 / 12)  # a fifth of five items is the first one


def test_popularity_of_many_items_is_thinned_out() -> None:
    table = pa.table({"item_id": [str(i) for i in range(50_000)], "event_count": list(range(50_000, 0, -1))})
    found = popularity(table)
    assert len(found.rank) <= CURVE_POINTS
    assert (found.rank[0], found.rank[-1]) == (1, 50_000)
    assert (found.event_count[0], found.event_count[-1]) == (50_000, 1)


def test_popularity_of_nothing() -> None:
    assert popularity(pa.table({"item_id": pa.array([], pa.string()), "event_count": pa.array([], pa.int64())})).rank == []


def test_days_without_events_count_as_zero() -> None:
    days, series, step = by_day([date(2026, 1, 1), date(2026, 1, 4)], {"users": [2.0, 6.0]})
    assert days == [date(2026, 1, day) for day in (1, 2, 3, 4)]
    assert series == {"users": [2.0, 0.0, 0.0, 6.0]}
    assert step == 1


def test_too_many_days_become_means() -> None:
    ordinal = date(2020, 1, 1).toordinal()
    days, series, step = by_day([date.fromordinal(ordinal + i) for i in range(721)], {"users": [3.0] * 721})
    assert step == 3  # 721 days in at most 360 points
    assert len(days) == 241
    assert series["users"] == [3.0] * 241  # the last group has one day, and its mean is of one day


def test_a_run_without_outputs_has_no_parts() -> None:
    record = read_record("shop", "run-1", "var/run", [], {})
    assert (record.data, record.statistics, record.evaluation, record.histories) == (None, None, None, {})


def test_a_missing_file_is_a_missing_part_and_a_broken_one_an_error(tmp_path: Path) -> None:
    outputs = {("IndexBuilder", "index"): tmp_path}
    assert read_record("shop", "run-1", "var/run", [], outputs).index is None
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"cannot be read for the report .*; run its node again"):
        read_record("shop", "run-1", "var/run", [], outputs)


def test_the_gates_report_goes_before_what_stood_in_for_it(tmp_path: Path) -> None:
    (tmp_path / "anomalies.json").write_text("[]")
    instead = [{"split": "train", "feature": "f", "severity": "error", "reason": "r"}]
    outputs = {("ValidationGate", "report"): tmp_path}
    assert read_record("shop", "run-1", "var/run", [], outputs, anomalies=instead).anomalies == []
    assert read_record("shop", "run-1", "var/run", [], {}, anomalies=instead).anomalies == instead


def test_event_data_and_statistics_are_read_from_their_tables(tmp_path: Path) -> None:
    log, catalogue, statistics = (tmp_path / name for name in ("log", "catalogue", "statistics"))
    for folder in (log, catalogue, statistics):
        folder.mkdir()
    summary = {
        "row_count": 3, "event_count": 2, "reject_count": 1, "duplicate_count": 0, "late_count": 0, "first_timestamp_ms": 1,
        "last_timestamp_ms": 2, "reject_reasons": {"no time": 1}, "unknown_item_count": 0, "unknown_user_count": 0,
        "unreadable_features": {}, "days": [],
    }  # fmt: skip
    (log / "summary.json").write_text(json.dumps(summary))
    rejects = pa.table({"file": ["e.csv"] * 50, "row": list(range(50)), "reason": ["no time"] * 50, "content": ["x"] * 50})
    pq.write_table(rejects, log / "rejects.parquet")
    pq.write_table(pa.table({"item_id": ["a"], "event_count": [2]}), log / "item_days.parquet")
    pq.write_table(pa.table({"item_id": ["a", "b"], "title": ["A", "B"]}), catalogue / "items.parquet")
    top = {"item_id": ["a", "a"], "type": ["click", "view"], "event_count": [2, 5], "total": [7, 7], "title": ["A", "A"]}
    pq.write_table(pa.table(top), statistics / "top_items.parquet")
    coverage = pa.table({"day": [date(2026, 1, 1)], "active_item_count": [1], "active_item_share": [0.5]})
    pq.write_table(coverage, statistics / "coverage.parquet")
    outputs = {
        ("Ingest", "event_log"): log,
        ("Ingest", "catalogue"): catalogue,
        ("Samples", "statistics"): statistics,
    }
    record = read_record("shop", "run-1", "var/run", [], outputs)
    assert record.data is not None
    assert (record.data.item_count, record.data.user_count) == (2, None)
    assert [reject.row for reject in record.data.rejects] == list(range(20))
    assert record.statistics is not None
    assert record.statistics.top_items == [TopItem("a", "A", 7, {"click": 2, "view": 5})]
    assert record.statistics.coverage.active_item_share == [0.5]
