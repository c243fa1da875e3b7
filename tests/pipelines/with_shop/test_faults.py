"""Whatever breaks beside the gateway, every user gets a list and what is taken gets logged. Real processes, really killed."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import redis

from serving.event_stream import STREAM
from tests.benchmarks.serving import faults
from tests.benchmarks.serving.faults import RANKER, STATE, TOWER, Outcome
from tests.benchmarks.serving.stack import HOST, Stack

pytestmark = pytest.mark.e2e

RATE, SECONDS = 20, 2.0


@pytest.fixture(scope="module")
def stack(shop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(shop.registry.folder, tmp_path_factory.mktemp("stack"), writer_flags=("--max_wait_s=0.5",)) as running:
        yield running


def checked(outcome: Outcome) -> Outcome:
    """No list was refused or empty, no record is doubled; ``wait_until_well`` has seen that it ended well."""
    assert len(outcome.answers) > RATE * SECONDS / 2
    assert {(answer.status, answer.items) for answer in outcome.of("recommend")} == {(200, 10)}
    assert outcome.written.doubled == 0
    return outcome


def checked_with_events(outcome: Outcome) -> Outcome:
    """Nor was a report of events refused, and every record is in the log."""
    assert {answer.status for answer in outcome.of("events")} == {200}
    assert outcome.written.lost == 0
    return checked(outcome)


def test_lists_go_on_in_recalls_order_when_the_model_server_is_killed(stack: Stack) -> None:
    outcome = checked_with_events(faults.model_server_killed(stack, RATE, SECONDS))
    assert {TOWER, RANKER} <= set(outcome.fallbacks)


def test_lists_go_on_from_the_snapshot_when_the_store_is_killed_and_nothing_is_lost(stack: Stack) -> None:
    outcome = checked_with_events(faults.store_killed(stack, RATE, SECONDS))
    assert STATE in outcome.fallbacks


def test_a_stalled_ranker_delays_no_list(stack: Stack) -> None:
    outcome = checked_with_events(faults.ranker_stalled(stack, RATE, SECONDS))
    assert RANKER in outcome.fallbacks


def test_a_release_is_taken_up_under_load(stack: Stack) -> None:
    before = stack.registry.current()
    outcome = checked_with_events(faults.release_swapped(stack, RATE, SECONDS))
    assert before in outcome.releases
    assert stack.recommend()["release"] == stack.registry.current() != before


def test_a_damaged_release_is_refused_and_the_one_before_stays_whole(stack: Stack) -> None:
    before = stack.registry.current()
    outcome = checked_with_events(faults.newest_bundle_corrupt(stack, RATE, SECONDS))
    assert outcome.releases == [before]


def test_a_disk_that_is_full_while_the_store_is_gone_costs_records_and_no_list(stack: Stack) -> None:
    outcome = checked(faults.disk_full(stack, RATE, SECONDS))
    assert STATE in outcome.fallbacks


def test_what_was_answered_outlives_a_gateway_that_is_killed_then(stack: Stack) -> None:
    """Killed right after an event that the stream has taken, and after one that came without a store."""

    def send(name: str) -> dict[str, int]:
        event = {"event_id": name, "user_id": "killed", "item_id": name, "type": "click", "timestamp_ms": 1_900_000_000_000}
        reply = httpx.post(f"http://{HOST}:{stack.port}/v1/events", json={"events": [event]})
        stack.gateway.kill()
        assert reply.status_code == 200
        return reply.json()

    def recorded(name: str) -> bool:
        """In the stream, or already in the log that is written of it."""
        with redis.Redis(HOST, stack.store.port) as client:
            entries = [json.loads(fields[b"record"]) for _, fields in client.xrange(STREAM)]
        logged = pq.read_table(stack.workdir / "online-log" / "events", columns=["event_id"]).column("event_id").to_pylist()
        return name in [*(entry.get("event_id") for entry in entries), *logged]

    assert send("with a store")["folded"] == 1
    assert recorded("with a store")
    stack.start_gateway_again()
    stack.store.terminate()
    assert send("without a store")["deferred"] == 1
    assert "without a store" in [json.loads(line).get("event_id") for line in stack.unsent.read_bytes().splitlines()]
    stack.store.start()
    stack.start_gateway_again()
    deadline_s = time.monotonic() + 60
    while not recorded("without a store"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert send("without a store")["repeated"] == 1
