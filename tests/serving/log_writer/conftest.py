from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from components.schema.events import event_files
from serving.embedded_store import embedded_store
from serving.records import EventRecord, Place, ShownRecord

START_MS = 1_704_067_200_000  # Monday, 2024-01-01 00:00:00 UTC


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_store(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """Of a store that holds nothing."""
    with redis.Redis.from_url(server) as client:
        client.flushall()
    return server


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with redis.Redis.from_url(url, decode_responses=True) as connected:
        yield connected


@pytest.fixture(scope="session")
def event() -> Callable[..., str]:
    return _event


@pytest.fixture(scope="session")
def shown() -> Callable[..., str]:
    return _shown


@pytest.fixture(scope="session")
def read() -> Callable[..., pa.Table]:
    return _read


@pytest.fixture(scope="session")
def event_ids() -> Callable[[Path], Counter[str]]:
    return _event_ids


def _event(number: int, **changes: Any) -> str:
    fields: dict[str, Any] = {
        "event_id": f"e{number}", "user_id": f"u{number % 3}", "item_id": f"i{number}", "type": "click",
        "timestamp_ms": START_MS + number, "received_ms": START_MS + 60_000,
    }  # fmt: skip
    return EventRecord(**{**fields, **changes}).model_dump_json()


def _shown(number: int, **changes: Any) -> str:
    """A list of two."""
    places = [
        Place(position=1, item_id="a", score=0.5, propensity=1.0, tasks={"click": 0.75}, sources=("popular",)),
        Place(position=2, item_id="b", score=None, propensity=0.25, tasks={}, sources=("two_tower", "fresh")),
    ]
    fields: dict[str, Any] = {
        "request_id": f"r{number}", "user_id": "ann", "type": "impression", "timestamp_ms": START_MS, "release": 3,
        "context": {"device": "phone"}, "places": places, "fallbacks": (), "features": {"user_id": ["ann"]},
    }  # fmt: skip
    return ShownRecord(**{**fields, **changes}).model_dump_json()


def _read(folder: Path, table: str) -> pa.Table:
    """All of one of the online log's tables, in the order of time."""
    files = event_files(folder / table)
    return pa.concat_tables([pq.ParquetFile(path).read() for path in files], promote_options="default")


def _event_ids(folder: Path) -> Counter[str]:
    """How often each event is in the log."""
    return Counter(_read(folder, "events").column("event_id").to_pylist())
