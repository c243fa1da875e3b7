"""Changed items over the release of seven, by a real item tower, a real Valkey, and where either is away."""

import dataclasses
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from serving.embedded_store import embedded_store
from serving.gateway.item_api import ItemBody
from serving.gateway.live_items import LiveItems
from serving.gateway.release import Release
from serving.inference import InferenceError, ModelClient
from serving.model_server.model_config import AllVersions, ModelConfig
from serving.model_server.process import EmbeddedServer


@pytest.fixture(scope="module")
def tower(
    saved_models: Path, publish: Callable[[Path, Path, int], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelClient]:
    root = tmp_path_factory.mktemp("tower")
    for version in (1, 2):
        publish(saved_models / "tower", root / "retrieval", version)
    with (
        EmbeddedServer([ModelConfig("retrieval", root / "retrieval", AllVersions())]) as server,
        ModelClient(server.grpc_target) as client,
    ):
        yield client


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with embedded_store(tmp_path / "store") as running:
        yield running


@pytest.fixture
def nowhere() -> Iterator[ModelClient]:
    with ModelClient("127.0.0.1:1") as client:
        yield client


@pytest.fixture
def hanging() -> Iterator[ModelClient]:
    """A server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ModelClient(f"127.0.0.1:{listening.getsockname()[1]}") as client:
        yield client


def put(live: LiveItems, release: Release, *item_ids: str, price: float = 50.0) -> None:
    for item_id in item_ids:
        live.put(item_id, ItemBody(features={"price": price}), release)
    live.refresh()


def test_a_withdrawal_takes_effect_though_the_tower_is_away(url: str, nowhere: ModelClient, release: Release) -> None:
    with closing(LiveItems(url, nowhere)) as live:
        put(live, release, "waiting")
        live.withdraw("i3")
        live.refresh()
        with pytest.raises(InferenceError, match="UNAVAILABLE"):
            live.embed(release)
        assert live.behind(release)
        made = live.over(release)
        assert made.rows(["i3", "waiting"]).tolist() == []
        assert 3 not in made.popular
        assert live.holds("waiting")
        assert not live.behind(made)


def test_what_was_withdrawn_stays_out_till_its_new_vector_is_there(
    url: str, nowhere: ModelClient, tower: ModelClient, release: Release
) -> None:
    """i3 is withdrawn and put in again, i4 is put in anew: till the tower answers, i4 is as the release has it."""
    with closing(LiveItems(url, nowhere)) as live, closing(LiveItems(url, tower)) as well:
        live.withdraw("i3")
        live.refresh()
        put(live, release, "i3", "i4")
        made = live.over(release)
        assert made.rows(["i3", "i4"]).tolist() == [4]
        assert made.vectors[made.rows(["i4"])].tolist() == [[4.0, 1.0]]
        well.refresh()
        well.embed(release)
        made = well.over(release)
        assert made.vectors[made.rows(["i3", "i4"])].tolist() == [[50.0, 1.0], [50.0, 1.0]]


def test_an_item_that_changes_stays_as_it_was_till_its_new_vector_is_there(
    url: str, tower: ModelClient, release: Release
) -> None:
    with closing(LiveItems(url, tower)) as live:
        put(live, release, "new", price=20.0)
        live.embed(release)
        before = live.over(release)
        put(live, release, "new", price=30.0)
        assert not live.behind(before)
        live.embed_one("new", release)
        assert live.behind(before)
        after = live.over(before)
        assert [made.vectors[made.rows(["new"])].tolist() for made in (before, after)] == [[[20.0, 1.0]], [[30.0, 1.0]]]
        assert [made.items.column("price").to_pylist()[7] for made in (before, after)] == [20.0, 30.0]


def test_an_item_that_the_tower_refuses_does_not_keep_the_others(
    url: str, tower: ModelClient, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(LiveItems(url, tower)) as live:
        put(live, release, "a", "b", "refused", "c", "d")
        with caplog.at_level(logging.WARNING):
            live.embed(release)
            live.embed(release)
        assert [record.message.partition(":")[0] for record in caplog.records] == [
            "item 'refused' is left out, the item tower refuses it"
        ]
        made = live.over(release)
        assert made.item_ids[7:].tolist() == ["a", "b", "c", "d"]
        with pytest.raises(InferenceError, match="INVALID_ARGUMENT"):
            live.embed_one("refused", release)


def test_each_release_has_its_own_vectors_and_loading_one_leaves_the_others(
    url: str, tower: ModelClient, release: Release
) -> None:
    next_release = dataclasses.replace(release, version=2)
    with closing(LiveItems(url, tower)) as live:
        put(live, release, "new")
        live.embed(release)
        assert live.over(next_release).rows(["new"]).tolist() == []
        live.embed(next_release)
        assert live.over(next_release).rows(["new"]).tolist() == [7]
        assert live.over(release).rows(["new"]).tolist() == [7]


def test_nothing_waits_for_a_tower_that_hangs(url: str, release: Release, hanging: ModelClient) -> None:
    with closing(LiveItems(url, hanging)) as live:
        put(live, release, "waiting")

        def ask() -> None:
            with pytest.raises(InferenceError):
                live.embed(release)

        asking = threading.Thread(target=ask)
        asking.start()
        live.withdraw("i3")
        live.refresh()
        assert live.over(release).rows(["i3"]).tolist() == []
        assert asking.is_alive()
        hanging.close()
        asking.join()


def test_a_store_that_was_emptied_takes_its_changes_with_it(url: str, tower: ModelClient, release: Release) -> None:
    with closing(LiveItems(url, tower)) as live, closing(redis.Redis.from_url(url)) as store:
        put(live, release, "new")
        live.embed(release)
        live.withdraw("i3")
        live.refresh()
        made = live.over(release)
        store.flushall()
        live.refresh()
        assert live.behind(made)
        made = live.over(made)
        assert made.rows(["i3", "new"]).tolist() == [3]
        assert not live.behind(made)
