"""The event stream on a real Valkey that comes and goes: nothing is lost, nothing waits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from serving.embedded_store import embedded_store
from serving.event_stream import STREAM, EventStream

NOWHERE = "redis://127.0.0.1:1/0"


def records(url: str) -> list[int]:
    client = redis.Redis.from_url(url)
    found = [json.loads(fields[b"record"])["n"] for _, fields in client.xrange(STREAM)]
    client.close()
    return found


def test_records_come_in_their_order(tmp_path: Path) -> None:
    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl")
        for number in range(1_234):
            stream.append({"n": number})
        stream.close()
        assert records(url) == list(range(1_234))
    assert (stream.sent_count, stream.kept_count, stream.lost_count) == (1_234, 0, 0)


def test_without_a_store_records_are_kept_and_sent_by_the_next_process(tmp_path: Path) -> None:
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    for number in range(3):
        stream.append({"n": number})
    stream.close()
    assert (stream.sent_count, stream.kept_count, stream.lost_count) == (0, 3, 0)
    with embedded_store(tmp_path / "store") as url:
        again = EventStream(url, tmp_path / "unsent.jsonl")
        again.append({"n": 3})
        again.close()
        assert records(url) == [0, 1, 2, 3]
    assert again.kept_count == 0
    assert not (tmp_path / "unsent.jsonl").exists()


def test_what_was_kept_is_sent_when_the_store_is_back(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl")
        port = int(url.split(":")[2].split("/")[0])
        client = redis.Redis(port=port)
        client.config_set("maxmemory", 1)  # the store takes no more: as good as full
        stream.append({"n": 7})
        eventually(lambda: stream.kept_count == 1, "record in the file")
        client.config_set("maxmemory", 0)
        eventually(lambda: stream.sent_count == 1, "record in the stream")
        client.close()
        stream.close()
        assert records(url) == [7]


def test_a_line_that_a_crash_has_cut_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "unsent.jsonl").write_text('{"n": 1}\n{"n": 2}\n{"n": 3')
    with embedded_store(tmp_path / "store") as url:
        EventStream(url, tmp_path / "unsent.jsonl").close()
        assert records(url) == [1, 2]


def test_where_neither_store_nor_file_takes_a_record_it_is_counted(tmp_path: Path) -> None:
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    (tmp_path / "unsent.jsonl").mkdir()
    stream.append({"n": 1})
    stream.close()
    assert (stream.sent_count, stream.kept_count, stream.lost_count) == (0, 0, 1)
