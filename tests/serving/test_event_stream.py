"""The event stream on a real Valkey that comes and goes: nothing is lost, nothing waits."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from components.errors import ServingError
from serving.embedded_store import embedded_store
from serving.event_stream import AT_ONCE, CLOSE_S, MAX_WAITING, STREAM, EventStream
from serving.unsent_file import MAX_BYTES
from tests.forks import forked

NOWHERE = "redis://127.0.0.1:1/0"


def records(url: str) -> list[int]:
    client = redis.Redis.from_url(url)
    found = [json.loads(fields[b"record"])["n"] for _, fields in client.xrange(STREAM)]
    client.close()
    return found


def numbered(number: object) -> Callable[[], dict[str, object]]:
    return lambda: {"n": number}


def test_records_come_in_their_order(tmp_path: Path) -> None:
    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl")
        for number in range(1_234):
            stream.append(numbered(number))
        stream.close()
        assert records(url) == list(range(1_234))
    assert (stream.sent_count, stream.kept_count, stream.lost_count) == (1_234, 0, 0)


def test_without_a_store_records_are_kept_and_sent_by_the_next_process(tmp_path: Path) -> None:
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    for number in range(3):
        stream.append(numbered(number))
    stream.close()
    assert (stream.sent_count, stream.kept_count, stream.lost_count) == (0, 3, 0)
    with embedded_store(tmp_path / "store") as url:
        again = EventStream(url, tmp_path / "unsent.jsonl")
        again.append(numbered(3))
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
        stream.append(numbered(7))
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
    stream.append(numbered(1))
    stream.close()
    assert (stream.sent_count, stream.kept_count, stream.lost_count) == (0, 0, 1)


def test_a_burst_larger_than_the_queue_is_in_the_stream_in_the_end(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """As sixty clients of a thousand events each bring it."""
    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl")

        def send(client: int) -> None:
            stream.append(*(numbered(1_000 * client + number) for number in range(1_000)))

        threads = [threading.Thread(target=send, args=(client,)) for client in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: stream.sent_count == 60_000, "burst")
        stream.close()
        assert (stream.kept_count, stream.lost_count) == (0, 0)
        assert sorted(records(url)) == list(range(60_000))
    assert not (tmp_path / "unsent.jsonl").exists()


def test_a_full_queue_without_a_store_loses_nothing(tmp_path: Path) -> None:
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    stream.append(*(numbered(number) for number in range(2 * MAX_WAITING)))
    stream.close()
    assert (stream.kept_count, stream.lost_count) == (2 * MAX_WAITING, 0)
    lines = (tmp_path / "unsent.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == list(range(2 * MAX_WAITING))


def test_the_thread_goes_on_whatever_lies_in_the_files_place(
    tmp_path: Path, eventually: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A folder, no folder at all, bytes that are no text; what was lost in between is counted, and said once."""
    file = tmp_path / "kept" / "unsent.jsonl"
    with embedded_store(tmp_path / "store") as url, redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", 1)  # the store takes no more
        file.mkdir(parents=True)
        stream = EventStream(url, file)
        for lost in (1, 2, 3):
            stream.append(numbered(lost))
            eventually(lambda lost=lost: stream.lost_count == lost, "loss")
        shutil.rmtree(file.parent)
        stream.append(numbered(4))
        eventually(lambda: stream.lost_count == 4, "loss without a folder")
        file.parent.mkdir()
        file.write_bytes(b'\xff\xfe{"n": 5}\n')
        stream.append(numbered(6))
        eventually(lambda: (file.parent / "unsent.jsonl").read_bytes().endswith(b'{"n": 6}\n'), "record after bytes")
        client.config_set("maxmemory", 0)
        eventually(lambda: stream.kept_count == 0, "empty file")
        stream.append(numbered(7))
        stream.close()
        assert [fields[b"record"] for _, fields in client.xrange(STREAM)][-2:] == [b'{"n": 6}', b'{"n": 7}']
    assert stream.lost_count == 4
    assert caplog.text.count("cannot be written") == 1


def test_one_record_that_is_no_json_takes_no_other_along(tmp_path: Path) -> None:
    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl")
        stream.append(numbered(1), numbered(object()), numbered(2))
        stream.close()
        assert records(url) == [1, 2]
    assert (stream.sent_count, stream.lost_count) == (2, 1)


def test_closing_takes_a_bounded_time_with_a_full_queue_and_a_store_that_hangs(tmp_path: Path) -> None:
    with embedded_store(tmp_path / "store") as url, redis.Redis.from_url(url) as client:
        stream = EventStream(url, tmp_path / "unsent.jsonl", timeout_s=0.2)
        client.client_pause(60_000)
        stream.append(*(numbered(number) for number in range(MAX_WAITING + AT_ONCE)))
        begun_s = time.monotonic()
        stream.close()
        assert time.monotonic() - begun_s < CLOSE_S
        assert (stream.sent_count, stream.kept_count, stream.lost_count) == (0, MAX_WAITING + AT_ONCE, 0)
        client.close()


def test_a_part_that_was_sent_is_not_sent_again_by_the_next_process(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """The store fills up while the file is being sent."""
    count = 40 * AT_ONCE
    (tmp_path / "unsent.jsonl").write_text("".join(f'{{"n": {number}, "pad": "{"x" * 500}"}}\n' for number in range(count)))
    with embedded_store(tmp_path / "store") as url, redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + (4 << 20))
        stream = EventStream(url, tmp_path / "unsent.jsonl")
        eventually(lambda: AT_ONCE <= stream.sent_count < count, "some batches")
        stream.close()
        assert 0 < stream.kept_count == count - stream.sent_count
        client.config_set("maxmemory", 0)
        again = EventStream(url, tmp_path / "unsent.jsonl")
        assert again.kept_count == stream.kept_count
        eventually(lambda: again.kept_count == 0, "the rest")
        again.close()
        assert records(url) == list(range(count))
    assert {path.name for path in tmp_path.iterdir()} == {"store", "unsent.jsonl.lock"}


def test_without_a_store_the_file_is_not_read(tmp_path: Path) -> None:
    """A line of 200 MiB, which a turn that reads it would take long for, and much memory."""
    with (tmp_path / "unsent.jsonl").open("wb") as file:
        file.truncate(200 << 20)
        file.seek(200 << 20)
        file.write(b"\n")
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    before_bytes = _read_bytes()
    for number in range(100):
        stream.append(numbered(number))
    stream.close()
    assert _read_bytes() - before_bytes < 10 << 20
    assert (stream.kept_count, stream.lost_count) == (101, 0)


def test_what_a_full_file_does_not_take_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (tmp_path / "unsent.jsonl").open("wb") as file:
        file.truncate(MAX_BYTES - 10)
        file.seek(MAX_BYTES - 10)
        file.write(b"\n")
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    stream.append(numbered(1), numbered(2))
    stream.close()
    assert (stream.kept_count, stream.lost_count) == (2, 1)
    assert (tmp_path / "unsent.jsonl").stat().st_size == MAX_BYTES
    assert "unsent.jsonl is full" in caplog.text


def test_what_is_put_is_in_the_stream_by_then(tmp_path: Path) -> None:
    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl")
        stream.put([{"n": 1}, {"n": 2}], are_prepared=True)
        assert (records(url), stream.sent_count) == ([1, 2], 2)
        stream.close()


def test_what_is_put_without_a_store_outlives_a_process_that_is_killed_then(tmp_path: Path) -> None:
    died = forked([], _put_and_die, NOWHERE, tmp_path / "unsent.jsonl")
    died.join()
    assert died.exitcode == -signal.SIGKILL
    assert (tmp_path / "unsent.jsonl").read_text() == '{"n": 1}\n{"n": 2}\n'


def test_what_is_put_unprepared_is_sent_once_prepared(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """The first two times that fails, and what needs none overtakes it."""
    prepared: list[list[bytes]] = []

    def prepare(lines: Sequence[bytes]) -> Sequence[bytes]:
        prepared.append(list(lines))
        if len(prepared) < 3:
            raise ServingError("not yet")
        return []

    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl", prepare)
        stream.put([{"n": 1}, {"n": 2}], are_prepared=False)
        eventually(lambda: len(prepared) == 1, "first try")
        stream.put([{"n": 3}], are_prepared=True)
        eventually(lambda: stream.kept_count == 0, "empty file")
        stream.close()
        assert records(url) == [3, 1, 2]
    assert prepared == 3 * [[b'{"n": 1}', b'{"n": 2}']]


def test_what_cannot_be_prepared_lets_the_others_pass(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    unready = {b'{"n": 1}', b'{"n": 3}'}
    with embedded_store(tmp_path / "store") as url:
        stream = EventStream(url, tmp_path / "unsent.jsonl", lambda lines: [line for line in lines if line in unready])
        stream.put([{"n": number} for number in (1, 2, 3, 4)], are_prepared=False)
        eventually(lambda: stream.kept_count == 2, "two that wait")
        assert records(url) == [2, 4]
        unready.discard(b'{"n": 1}')
        eventually(lambda: stream.kept_count == 1, "one that waits")
        unready.clear()
        eventually(lambda: stream.kept_count == 0, "empty file")
        stream.close()
        assert records(url) == [2, 4, 1, 3]


def test_what_neither_store_nor_file_takes_is_refused_and_not_lost(tmp_path: Path) -> None:
    with (tmp_path / "unsent.jsonl").open("wb") as file:
        file.truncate(MAX_BYTES - 10)
        file.seek(MAX_BYTES - 10)
        file.write(b"\n")
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    with pytest.raises(ServingError, match=r"the store does not answer, and .*unsent.jsonl is full; send the events again"):
        stream.put([{"n": 1}, {"n": 2}], are_prepared=True)
    (tmp_path / "unsent.jsonl").unlink()
    (tmp_path / "unsent.jsonl").mkdir()
    with pytest.raises(ServingError, match=r"the store does not answer, and .*unsent.jsonl cannot be written"):
        stream.put([{"n": 1}], are_prepared=True)
    assert stream.lost_count == 0
    (tmp_path / "unsent.jsonl").rmdir()
    stream.close()


def test_a_file_is_one_streams_alone(tmp_path: Path) -> None:
    stream = EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    with pytest.raises(ServingError, match=r"unsent.jsonl: another process keeps its unsent events there; end that one"):
        EventStream(NOWHERE, tmp_path / "unsent.jsonl")
    stream.close()
    EventStream(NOWHERE, tmp_path / "unsent.jsonl").close()


def _put_and_die(url: str, unsent: Path) -> None:
    EventStream(url, unsent).put([{"n": 1}, {"n": 2}], are_prepared=True)
    os.kill(os.getpid(), signal.SIGKILL)


def _read_bytes() -> int:
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"])
