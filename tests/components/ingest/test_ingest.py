"""Ingest as a whole: files in, event log, rejects, summary and catalogue out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config import load_config
from components.ingest.guess import guess_config
from components.schema.events import ITEM_DAYS_FILE, event_schema
from serving.log_writer.online_log import OnlineLog
from serving.records import EventRecord, Place, ShownRecord

# 2024-01-01 00:00:00 UTC is 1,704,067,200 s after 1970-01-01, which is 19,723 days of 86,400 s.
DAY = 1_704_067_200
ROWS: list[dict[str, Any]] = [
    {"user": "u1", "item": 7, "time": DAY + 10, "kind": "view", "score": None, "device": "ios"},
    {"user": "u2", "item": 8, "time": DAY + 5, "kind": "buy", "score": 2.5, "device": None},
    {"user": "u1", "item": 8, "time": DAY + 86_400, "kind": "view", "score": None, "device": "web"},
]
PARTS = {"type": "kind", "value": "score"}
CONTEXT = {"device": {"column": "device"}}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [
        ",".join(rows[0]),
        *(",".join("" if value is None else str(value) for value in row.values()) for row in rows),
    ]
    path.write_text("\n".join(lines) + "\n")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_parquet_dictionaries(path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    for place, name in enumerate(table.column_names):
        if name != "time":
            table = table.set_column(place, name, table.column(name).dictionary_encode())
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("format", "write"),
    [
        ("csv", write_csv),
        ("jsonl", write_json_lines),
        ("parquet", write_parquet),
        ("parquet", write_parquet_dictionaries),
    ],
)
def test_each_format_gives_the_same_log(
    tmp_path: Path, dataset: Callable, run_ingest: Callable, format: str, write: Callable
) -> None:
    write(tmp_path / "events.data", ROWS)
    done = run_ingest(dataset({"path": "events.data", "format": format, "context": CONTEXT}, PARTS))
    assert done.events.schema.equals(event_schema(("device",)))
    rows = done.events.select(["event_id", "user_id", "item_id", "type", "value", "timestamp_ms", "context_device"])
    # Sorted by time within the day; without ids, an event's id is its day and its place in it.
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        ("19723-0", "u2", "8", "buy", 2.5, (DAY + 5) * 1000, None),
        ("19723-1", "u1", "7", "view", None, (DAY + 10) * 1000, "ios"),
        ("19724-0", "u1", "8", "view", None, (DAY + 86_400) * 1000, "web"),
    ]
    assert done.rejects == []
    assert [path.name for path in sorted(done.log.iterdir())] == [
        "day=2024-01-01",
        "day=2024-01-02",
        "item_days.parquet",
        "rejects.parquet",
        "summary.json",
    ]
    assert sorted(tuple(row.values()) for row in pq.read_table(done.log / ITEM_DAYS_FILE).to_pylist()) == [
        (19723, "7", "view", 1),
        (19723, "8", "buy", 1),
        (19724, "8", "view", 1),
    ]


def test_summary(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    write_csv(tmp_path / "events.csv", ROWS)
    summary = run_ingest(dataset(columns=PARTS)).summary
    assert (summary.row_count, summary.event_count, summary.reject_count, summary.duplicate_count) == (3, 3, 0, 0)
    assert summary.late_count is None  # no column says when events arrived
    assert (summary.first_timestamp_ms, summary.last_timestamp_ms) == ((DAY + 5) * 1000, (DAY + 86_400) * 1000)
    assert [(day.day, day.event_count, day.user_count, day.events_by_type) for day in summary.days] == [
        ("2024-01-01", 2, 2, {"buy": 1, "view": 1}),
        ("2024-01-02", 1, 1, {"view": 1}),
    ]
    assert summary == type(summary).from_dict(json.loads((tmp_path / "log" / "summary.json").read_text()))


def test_a_folder_of_files_with_several_row_groups(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    (tmp_path / "events").mkdir()
    for number in range(3):
        rows = [{"user": f"u{number}", "item": row, "time": DAY + row} for row in range(10)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "events" / f"part-{number}.parquet", row_group_size=4)
    (tmp_path / "events" / "_SUCCESS").write_text("")
    done = run_ingest(dataset({"path": "events", "format": "parquet"}))
    assert done.summary.event_count == 30
    assert done.events.column("timestamp_ms").to_pylist() == sorted(done.events.column("timestamp_ms").to_pylist())


def test_rejects_keep_file_row_and_reason(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    lines = [
        "user,item,time,score,kind",
        f"u1,7,{DAY},4,view",
        ",7,1704067200,4,view",
        "u1,7,1704067200",
        f"u1,7,{DAY},nan,view",
        "u1,7,yesterday,4,view",
        "u1,7,,4,view",
        f"u1,{'x' * 257},{DAY},4,view",
        "",  # a blank line is no row
        f"u1,7,{DAY},4,view,more",
        "u1,7,86400,4,view",
        f"u1,7,{DAY},1e400,",
    ]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    done = run_ingest(dataset({"max_reject_share": 1.0}, PARTS))
    assert {row["file"] for row in done.rejects} == {str(tmp_path / "events.csv")}
    # Rows from 1, the header and blank lines not counted, malformed rows counted.
    assert [(row["row"], row["reason"]) for row in done.rejects] == [
        (2, "user_id is empty"),
        (3, "found 3 fields, wanted 5"),
        (4, "value is not a number, or too large"),
        (5, "timestamp cannot be read as s"),
        (6, "timestamp is empty"),
        (7, "item_id is longer than 256 characters"),
        (8, "found 6 fields, wanted 5"),
        (9, "timestamp lies outside 1990 to 2100 when read as s"),
        (10, "type is empty"),
    ]
    assert json.loads(done.rejects[0]["content"])["item"] == "7"
    assert done.rejects[1]["content"] == "u1,7,1704067200"
    assert (done.summary.row_count, done.summary.event_count, done.summary.reject_count) == (10, 1, 9)
    assert done.summary.reject_reasons["timestamp is empty"] == 1


def test_empty_values_are_no_numbers_but_missing_ones(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    table = pa.table(
        {
            "user": ["u1", "u2", ""],
            "item": [1, 2, 3],
            "time": [DAY, DAY, DAY],
            "score": [float("nan"), None, 1.0],
            "request": ["", None, "r"],
        }
    )
    pq.write_table(table, tmp_path / "e.parquet")
    done = run_ingest(
        dataset(
            {"path": "e.parquet", "format": "parquet", "max_reject_share": 0.5},
            {"value": "score", "request_id": "request"},
        )
    )
    assert done.events.column("value").to_pylist() == [None, None]
    assert done.events.column("request_id").to_pylist() == [None, None]
    assert [row["reason"] for row in done.rejects] == ["user_id is empty"]


def test_events_with_the_same_id_count_once(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"id,user,item,time\na,u1,7,{DAY}\nb,u1,7,{DAY}\na,u1,7,{DAY}\n")
    done = run_ingest(dataset(columns={"event_id": "id"}))
    assert done.events.column("event_id").to_pylist() == ["a", "b"]
    assert (done.summary.row_count, done.summary.event_count, done.summary.duplicate_count) == (3, 2, 1)


def test_an_id_that_comes_again_on_another_day_counts_once(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    """Over files too, and whichever copy is read first: the earliest is kept."""
    day = 86_400
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "1.csv").write_text(
        "id,user,item,time\n"
        f"a,u1,1,{DAY + 2 * day + 5}\n"  # the third a
        f"a,u1,2,{DAY + 7}\n"  # later on the first day: the second a
        f"b,u1,3,{DAY + day + 1}\n"
        f"only,u1,4,{DAY + 3 * day}\n"
    )
    (tmp_path / "events" / "2.csv").write_text(
        "id,user,item,time\n"
        f"b,u2,5,{DAY + 2 * day}\n"  # the second b
        f"a,u2,6,{DAY + 3}\n"  # the first a
        f"b,u2,7,{DAY + 2 * day}\n"  # the third b
    )
    done = run_ingest(dataset({"path": "events"}, {"event_id": "id"}))
    kept = done.events.select(["event_id", "item_id", "timestamp_ms"]).to_pylist()
    assert [tuple(row.values()) for row in kept] == [
        ("a", "6", (DAY + 3) * 1000),
        ("b", "3", (DAY + day + 1) * 1000),
        ("only", "4", (DAY + 3 * day) * 1000),
    ]
    # Of 7 rows 3 are kept. Nothing is left of the third day, so it has no folder and is not a day with events.
    assert (done.summary.row_count, done.summary.event_count, done.summary.duplicate_count) == (7, 3, 4)
    assert [(each.day, each.event_count) for each in done.summary.days] == [
        ("2024-01-01", 1),
        ("2024-01-02", 1),
        ("2024-01-04", 1),
    ]
    assert [path.name for path in sorted(done.log.glob("day=*"))] == ["day=2024-01-01", "day=2024-01-02", "day=2024-01-04"]
    assert sorted(tuple(row.values()) for row in pq.read_table(done.log / ITEM_DAYS_FILE).to_pylist()) == [
        (19723, "6", "event", 1),
        (19724, "3", "event", 1),
        (19726, "4", "event", 1),
    ]


def test_without_ids_equal_rows_count_once(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    rows = [
        ("u1", 7, 0, "4"),
        ("u1", 7, 0, "4"),
        ("u1", 7, 0, "5"),
        ("u1", 7, 1, "4"),
        ("u1", 7, 0, ""),
        ("u1", 7, 0, ""),
    ]
    (tmp_path / "events.csv").write_text(
        "user,item,time,score\n" + "".join(f"{user},{item},{DAY + second},{score}\n" for user, item, second, score in rows)
    )
    done = run_ingest(dataset(columns={"value": "score"}))
    assert done.summary.duplicate_count == 2
    assert sorted(map(str, done.events.column("value").to_pylist())) == ["4.0", "4.0", "5.0", "None"]
    assert done.events.column("event_id").to_pylist() == [f"19723-{place}" for place in range(4)]


def test_late_rows_are_counted(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    delays = [0, 60, 61, 7_200]
    (tmp_path / "events.csv").write_text(
        "user,item,time,received\n" + "".join(f"u{delay},7,{DAY},{DAY + delay}\n" for delay in delays) + f"u,7,{DAY},\n"
    )
    done = run_ingest(dataset({"late_after_s": 60}, {"received": "received"}))
    assert done.summary.late_count == 2  # 61 s and 7200 s; a row that does not say is not late
    assert done.events.column("received_ms").null_count == 1


def test_the_catalogue_holds_the_ids_of_both_sides(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    write_csv(tmp_path / "events.csv", ROWS)
    (tmp_path / "items.csv").write_text(
        "id,name,since,kinds,price,text\n8,Lamp,2023-12-31,a | b||a,9.5,A bright LAMP!\n9,,,,cheap,\n8,Again,,,,\n"
    )
    (tmp_path / "users.csv").write_text("id,age,born\nu1,31,631152000\nu3,,\n")
    items = {
        "path": "items.csv",
        "id": "id",
        "title": "name",
        "created": "since",
        "created_unit": "iso8601",
        "features": {
            "kinds": {"column": "kinds", "kind": "multi_valued", "separator": "|"},
            "price": {"column": "price", "kind": "number"},
            "words": {"column": "text", "kind": "text"},
        },
    }
    users = {
        "path": "users.csv",
        "id": "id",
        "features": {"age": {"column": "age", "kind": "number"}, "born": {"column": "born", "kind": "timestamp"}},
    }
    done = run_ingest(dataset(columns=PARTS, items=items, users=users))
    # 2023-12-31 is a day before DAY. Item 7 is known from its first event, item 9 from neither: then the log's end.
    known = {"item_id": "8", "title": "Lamp", "created_ms": (DAY - 86_400) * 1000}
    blank = {"kinds": None, "price": None, "words": None}
    assert done.items == [
        {"item_id": "7", "title": "7", "created_ms": (DAY + 10) * 1000, **blank},
        {**known, "kinds": ["a", "b", "a"], "price": 9.5, "words": ["a", "bright", "lamp"]},
        {"item_id": "9", "title": "9", "created_ms": (DAY + 86_400) * 1000, **blank},
    ]
    # 631,152,000 s is 1990-01-01, the first moment that is accepted.
    assert done.users == [
        {"user_id": "u1", "age": 31.0, "born": 631_152_000_000},
        {"user_id": "u2", "age": None, "born": None},
        {"user_id": "u3", "age": None, "born": None},
    ]
    assert (done.summary.unknown_item_count, done.summary.unknown_user_count) == (1, 1)
    assert done.summary.unreadable_features == {"price": 1}


def test_lists_in_json_lines_and_nulls_in_them(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    write_csv(tmp_path / "events.csv", ROWS)
    write_json_lines(
        tmp_path / "items.jsonl",
        [{"id": 7, "tags": ["a", None, " b "]}, {"id": 8, "tags": []}, {"id": 9, "tags": None}],
    )
    items = {"path": "items.jsonl", "format": "jsonl", "id": "id"}
    done = run_ingest(dataset(items={**items, "features": {"tags": {"column": "tags", "kind": "multi_valued"}}}))
    assert [row["tags"] for row in done.items] == [["a", "b"], [], None]


def test_quoted_fields_may_hold_anything(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    (tmp_path / "events.csv").write_text(f'"user","item, or sku","time"\n"a,b","x\n""y""",{DAY}\n')
    done = run_ingest(dataset(columns={"item_id": "item, or sku"}))
    assert done.events.select(["user_id", "item_id"]).to_pylist() == [{"user_id": "a,b", "item_id": 'x\n"y"'}]


def test_quoted_newlines_across_the_reader_s_blocks(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    row = '"u{}","' + "line\n" * 100 + f'",{DAY}\n'
    (tmp_path / "items.csv").write_text('id,text,n\n"i",x,1\n' + "".join(row.replace("u{}", f"u{n}") for n in range(20_000)))
    (tmp_path / "events.csv").write_text(f"user,item,time\nu1,i,{DAY}\n")
    items = {"path": "items.csv", "id": "id", "features": {"words": {"column": "text", "kind": "text"}}}
    assert len(run_ingest(dataset(items=items)).items) == 20_001  # 10 MB; a block has 8


def test_compressed_csv(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    with pa.output_stream(tmp_path / "events.csv.gz") as file:
        file.write(f"user,item,time\nu1,7,{DAY}\n".encode())
    assert run_ingest(dataset({"path": "events.csv.gz"})).summary.event_count == 1


def test_a_run_again_gives_the_same_files(tmp_path: Path, dataset: Callable, run_ingest: Callable) -> None:
    write_csv(tmp_path / "events.csv", [{**ROWS[0], "user": f"u{n % 5}", "device": n} for n in range(20)])
    settings = dataset({"context": CONTEXT})
    once, again = (
        run_ingest(settings, to="once"),
        run_ingest(settings, to="again", beam_args=["--direct_num_workers=2"]),
    )
    assert once.events.equals(again.events)
    assert once.summary == again.summary


def test_a_guessed_config_can_be_ingested(tmp_path: Path, run_ingest: Callable) -> None:
    write_csv(tmp_path / "log.csv", [{**row, "time": f"2024-01-0{place + 1}T12:00:00Z"} for place, row in enumerate(ROWS)])
    write_parquet(tmp_path / "goods.parquet", [{"sku": n, "name": f"Thing {n}"} for n in (7, 8)])
    output = tmp_path / "shop.yaml"
    output.write_text(guess_config(tmp_path / "log.csv", tmp_path / "goods.parquet", None, output))
    done = run_ingest(load_config(output).dataset)
    assert done.summary.event_count == 3
    assert done.summary.unknown_item_count == 0
    assert done.events.column("timestamp_ms")[0].as_py() == (DAY + 43_200) * 1000


def test_an_online_log_is_a_source_like_any_other(run_ingest: Any, dataset: Any, tmp_path: Path) -> None:
    """Two lists of two and three clicks in partitions of two days, one click told of twice; hidden files are none of it."""
    places = [
        Place(position=rank, item_id=f"i{rank}", score=0.5, propensity=0.5, tasks={}, sources=("popular",)) for rank in (1, 2)
    ]
    texts = [
        ShownRecord(
            request_id=f"r{number}", user_id="ann", type="impression", timestamp_ms=DAY * 1000 + number, release=1,
            context={"device": "phone"}, places=tuple(places), fallbacks=(), features={},
        ).model_dump_json()
        for number in range(2)
    ] + [
        EventRecord(
            event_id=f"c{number}", user_id="ann", item_id="i1", type="click", timestamp_ms=DAY * 1000 + 500 + number,
            received_ms=DAY * 1000 + 900, request_id="r0", context={"device": None},
        ).model_dump_json()
        for number in (0, 1, 1)
    ]  # fmt: skip
    log = OnlineLog(tmp_path / "online-log")
    log.append({f"{DAY * 1000}-{number}": text for number, text in enumerate(texts[:4])})
    log.append({f"{(DAY + 86_400) * 1000}-0": texts[4]})
    for part in ("day=2024-01-01/.part.parquet", "old/part.parquet"):  # half a file, and what is no partition
        (tmp_path / "online-log" / "events" / part).parent.mkdir(exist_ok=True)
        (tmp_path / "online-log" / "events" / part).write_bytes(b"no Parquet")
    columns = {
        "user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp_ms", "event_id": "event_id", "type": "type",
        "value": "value", "request_id": "request_id", "position": "position", "propensity": "propensity",
        "received": "received_ms",
    }  # fmt: skip
    events = {
        "path": "online-log/events", "format": "parquet", "timestamp_unit": "ms",
        "context": {"device": {"column": "context_device"}},
    }  # fmt: skip
    ingested = run_ingest(dataset(events, columns), to="ingested")
    summary = ingested.summary
    assert (summary.event_count, summary.duplicate_count, summary.reject_count) == (6, 1, 0)
    assert summary.days[0].events_by_type == {"click": 2, "impression": 4}
    shown = [
        [row[name] for name in ("event_id", "item_id", "position", "propensity", "context_device")]
        for row in ingested.events.to_pylist()
        if row["type"] == "impression"
    ]
    assert sorted(shown) == [
        ["r0:1", "i1", 1, 0.5, "phone"],
        ["r0:2", "i2", 2, 0.5, "phone"],
        ["r1:1", "i1", 1, 0.5, "phone"],
        ["r1:2", "i2", 2, 0.5, "phone"],
    ]
