"""The online log: what its rows say, and that no entry and no recent record is in it twice, whatever is given again."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.errors import ArtifactError, ServingError
from components.schema.events import event_schema
from serving.log_writer.online_log import Appended, OnlineLog

DAY_MS = 86_400_000
MOMENT_MS = 1_800_000_000_000  # 2027-01-15 08:00:00 UTC
RECENT = 1_000


def ids(count: int, start: int = 0) -> list[str]:
    """Three entries a millisecond."""
    return [f"{MOMENT_MS + number // 3}-{number % 3}" for number in range(start, start + count)]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))


def test_an_event_becomes_a_row_of_the_event_log(tmp_path: Path, event: Callable[..., str], read: Callable[..., Any]) -> None:
    entry = event(7, value=2.5, request_id="r1", position=4, context={"device": "phone", "shop": None})
    assert OnlineLog(tmp_path).append({f"{MOMENT_MS}-0": entry}) == Appended(events=1)
    assert names(tmp_path) == [f"events/day=2027-01-15/part-{MOMENT_MS}-0_{MOMENT_MS}-0.parquet"]
    rows = read(tmp_path, "events")
    assert rows.select(rows.column_names[1:]).schema.equals(event_schema(("device", "shop")))
    assert rows.to_pylist() == [
        {
            "stream_id": f"{MOMENT_MS}-0", "event_id": "e7", "user_id": "u1", "item_id": "i7", "type": "click", "value": 2.5,
            "timestamp_ms": 1_704_067_200_007, "received_ms": 1_704_067_260_000, "request_id": "r1", "position": 4,
            "propensity": None, "context_device": "phone", "context_shop": None,
        }
    ]  # fmt: skip


def test_a_list_becomes_a_row_and_an_impression_for_each_place(
    tmp_path: Path, shown: Callable[..., str], read: Callable[..., Any]
) -> None:
    features = {"user_id": ["ann"], "history_item_id": [["x", "y"]], "age": [float("nan")]}
    entry = json.dumps({**json.loads(shown(1)), "features": features})
    assert OnlineLog(tmp_path).append({f"{MOMENT_MS}-0": entry}) == Appended(events=2, shown=1)
    events = read(tmp_path, "events")
    columns = ["event_id", "user_id", "item_id", "type", "request_id", "position", "propensity", "context_device"]
    assert [list(row.values()) for row in events.select(columns).to_pylist()] == [
        ["r1:1", "ann", "a", "impression", "r1", 1, 1.0, "phone"],
        ["r1:2", "ann", "b", "impression", "r1", 2, 0.25, "phone"],
    ]
    [row] = read(tmp_path, "shown").to_pylist()
    assert row["places"] == [
        {"position": 1, "item_id": "a", "score": 0.5, "propensity": 1.0, "tasks": [("click", 0.75)], "sources": ["popular"]},
        {"position": 2, "item_id": "b", "score": None, "propensity": 0.25, "tasks": [], "sources": ["two_tower", "fresh"]},
    ]
    assert (row["release"], row["request_id"], row["context_device"]) == (3, "r1", "phone")
    assert row["features"] == '{"user_id": ["ann"], "history_item_id": [["x", "y"]], "age": [NaN]}'


def test_an_impression_was_received_when_its_list_was_made(
    tmp_path: Path, shown: Callable[..., str], read: Callable[..., Any]
) -> None:
    """A list can be as of another moment than its own; records of earlier versions do not tell their own."""
    first, second = ids(2)
    past_ms = MOMENT_MS - DAY_MS
    earlier = json.loads(shown(2, timestamp_ms=past_ms))
    del earlier["received_ms"]
    OnlineLog(tmp_path).append({first: shown(1, timestamp_ms=past_ms, received_ms=MOMENT_MS), second: json.dumps(earlier)})
    rows = read(tmp_path, "events").select(["timestamp_ms", "received_ms"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(past_ms, MOMENT_MS)] * 2 + [(past_ms, None)] * 2


def test_what_a_visitor_is_shown_is_no_event(tmp_path: Path, shown: Callable[..., str]) -> None:
    assert OnlineLog(tmp_path).append({f"{MOMENT_MS}-0": shown(1, user_id=None)}) == Appended(shown=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "record: Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ('{"kind": "noise"}', "record: Input tag 'noise' found using 'kind' does not match any of the expected tags"),
        ('{"kind": "event", "event_id": "e"}', "event.user_id: Field required"),
        ("{}", "record: Unable to extract tag using discriminator 'kind'"),
    ],
)
def test_what_is_no_record_is_kept_beside_its_neighbours(
    tmp_path: Path, event: Callable[..., str], read: Callable[..., Any], text: str, reason: str
) -> None:
    before, bad, after = ids(3)
    assert OnlineLog(tmp_path).append({before: event(0), bad: text, after: event(1)}) == Appended(events=2, rejects=1)
    [row] = read(tmp_path, "rejects").to_pylist()
    assert (row["stream_id"], row["content"]) == (bad, text)
    assert row["reason"].startswith(reason)


def test_a_moment_that_no_column_takes_is_refused_with_its_row_alone(tmp_path: Path, event: Callable[..., str]) -> None:
    far = json.dumps({**json.loads(event(0)), "timestamp_ms": 1 << 63})
    near, other = ids(2)
    assert OnlineLog(tmp_path).append({near: far, other: event(1)}) == Appended(events=1, rejects=1)


def test_entries_of_two_days_lie_in_two_partitions(tmp_path: Path, event: Callable[..., str]) -> None:
    first, last = MOMENT_MS, MOMENT_MS + DAY_MS
    OnlineLog(tmp_path).append({f"{last}-0": event(1), f"{first}-1": event(0), f"{first}-0": event(2)})
    assert names(tmp_path) == [
        f"events/day=2027-01-15/part-{first}-0_{first}-1.parquet",
        f"events/day=2027-01-16/part-{last}-0_{last}-0.parquet",
    ]


def test_what_is_given_again_is_not_written_again(
    tmp_path: Path, event: Callable[..., str], shown: Callable[..., str], event_ids: Callable[..., Any]
) -> None:
    """The second batch is the first one's second half and some more; the third has nothing new."""
    entries = {entry: shown(n) if n % 4 == 0 else event(n) for n, entry in enumerate(ids(30))}
    first, second = dict(list(entries.items())[:20]), dict(list(entries.items())[10:])
    assert OnlineLog(tmp_path).append(first) == Appended(events=15 + 2 * 5, shown=5)
    assert OnlineLog(tmp_path).append(second) == Appended(events=7 + 2 * 3, shown=3)  # 20, 24 and 28 are lists
    assert OnlineLog(tmp_path).append(dict(list(entries.items())[5:25])) == Appended()
    assert set(event_ids(tmp_path).values()) == {1}
    assert OnlineLog(tmp_path).holds([*entries, "1-1"]) == set(entries)


def test_a_crash_between_two_tables_is_mended_by_the_next_write(
    tmp_path: Path, event: Callable[..., str], shown: Callable[..., str], event_ids: Callable[..., Any]
) -> None:
    """The events of the batch are there, its lists are not, and half a file lies about."""
    one, two = ids(2)
    entries = {one: event(0), two: shown(1)}
    OnlineLog(tmp_path).append(entries)
    [lists] = (tmp_path / "shown").rglob("part-*.parquet")
    lists.unlink()
    (lists.parent / ".part.parquet").write_bytes(b"PAR1half")
    assert OnlineLog(tmp_path).append(entries) == Appended(shown=1)
    assert event_ids(tmp_path) == {"e0": 1, "r1:1": 1, "r1:2": 1}
    assert not list(tmp_path.rglob(".part.parquet"))


def test_a_record_that_comes_twice_in_a_batch_is_written_once(
    tmp_path: Path, event: Callable[..., str], shown: Callable[..., str], event_ids: Callable[..., Any]
) -> None:
    entries = dict(zip(ids(5), [event(0), shown(1), event(0), shown(1), event(2)], strict=True))
    assert OnlineLog(tmp_path, RECENT).append(entries) == Appended(events=2 + 2, shown=1, repeats=2)
    assert event_ids(tmp_path) == {"e0": 1, "r1:1": 1, "r1:2": 1, "e2": 1}


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_record_that_comes_again_after_its_batch_is_written_once(
    tmp_path: Path, event: Callable[..., str], shown: Callable[..., str], event_ids: Any, read: Any, is_restarted: bool
) -> None:
    """On the next day, which has a folder of its own."""
    log = OnlineLog(tmp_path, RECENT)
    assert log.append(dict(zip(ids(2), [event(0), shown(1)], strict=True))) == Appended(events=1 + 2, shown=1)
    if is_restarted:
        log = OnlineLog(tmp_path, RECENT)
    later = {f"{MOMENT_MS + DAY_MS}-{number}": text for number, text in enumerate([event(0), shown(1), event(2)])}
    assert log.append(later) == Appended(events=1, repeats=2)
    assert event_ids(tmp_path) == {"e0": 1, "r1:1": 1, "r1:2": 1, "e2": 1}
    assert read(tmp_path, "shown").column("request_id").to_pylist() == ["r1"]


def test_a_record_is_remembered_till_enough_others_have_come(tmp_path: Path, event: Callable[..., str]) -> None:
    """Of three files with two events each, the last two hold the three newest."""
    log = OnlineLog(tmp_path, recent_count=3)
    for start in (0, 2, 4):
        log.append({entry: event(number) for number, entry in enumerate(ids(2, start), start)})
    assert log.append(dict(zip(ids(2, 6), [event(0), event(2)], strict=True))) == Appended(events=1, repeats=1)


def test_a_crash_between_two_tables_loses_no_list_that_came_twice(
    tmp_path: Path, shown: Callable[..., str], event_ids: Callable[..., Any]
) -> None:
    """The list's impressions are there, the list is not, and both of its entries are given again."""
    entries = dict.fromkeys(ids(2), shown(1))
    OnlineLog(tmp_path, RECENT).append(entries)
    [lists] = (tmp_path / "shown").rglob("part-*.parquet")
    lists.unlink()
    assert OnlineLog(tmp_path, RECENT).append(entries) == Appended(shown=1, repeats=1)
    assert event_ids(tmp_path) == {"r1:1": 1, "r1:2": 1}


def test_writers_whose_batches_interleave_do_not_collide(
    tmp_path: Path, event: Callable[..., str], event_ids: Callable[..., Any]
) -> None:
    """Four threads are given every second entry each, so that each entry is given twice."""
    entries = {entry: event(n) for n, entry in enumerate(ids(400))}

    def write(place: int) -> None:
        mine = [each for n, each in enumerate(entries.items()) if n % 2 == place % 2]
        for start in range(0, len(mine), 50):
            OnlineLog(tmp_path).append(dict(mine[start : start + 50]))

    threads = [threading.Thread(target=write, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert event_ids(tmp_path) == {f"e{n}": 1 for n in range(400)}


def test_a_damaged_file_is_named_and_nothing_is_doubled(tmp_path: Path, event: Callable[..., str]) -> None:
    one, two = ids(2)
    OnlineLog(tmp_path).append({one: event(0), two: event(1)})
    [file] = tmp_path.rglob("part-*.parquet")
    file.write_bytes(b"no Parquet")
    with pytest.raises(ArtifactError, match=rf"{file.name}: cannot be read .* so that what it holds is not known"):
        OnlineLog(tmp_path).append({two: event(1)})


def test_a_damaged_file_of_earlier_entries_stops_no_later_ones(
    tmp_path: Path, event: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """What it held is not known again, and may be written twice."""
    one, two, three = ids(3)
    log = OnlineLog(tmp_path, RECENT)
    log.append({one: event(0)})
    [file] = tmp_path.rglob("part-*.parquet")
    file.write_bytes(b"no Parquet")
    assert OnlineLog(tmp_path, RECENT).append({two: event(0), three: event(1)}) == Appended(events=2)
    assert f"{file.name}: cannot be read" in caplog.text


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path, event: Callable[..., str]) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    with pytest.raises(ServingError, match="log: the log cannot be written"):
        OnlineLog(tmp_path / "log").append({"1-0": event(0)})


def test_files_are_plain_parquet(tmp_path: Path, event: Callable[..., str]) -> None:
    """Read as a partitioned data set, as other tools do it, the day is a column."""
    OnlineLog(tmp_path).append({f"{MOMENT_MS}-0": event(0)})
    assert pq.read_table(tmp_path / "events").column("day").to_pylist() == ["2027-01-15"]
