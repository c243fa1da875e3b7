"""Items put into and out of a running gateway: a real item tower, a real Valkey, two gateways that share it."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from components.push.registry import MODELS
from serving.embedded_store import embedded_store
from serving.gateway.app import create_app
from serving.gateway.service import Gateway
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer

pytestmark = pytest.mark.e2e

PATIENT = GatewaySettings.model_validate(
    {"deadline_ms": 60_000, "budgets_ms": {"state": 20_000, "query_tower": 20_000, "ranker": 20_000}}
)
UNHEARD_OF = [{"feature": "category", "one_of": ["unheard of"]}]


@dataclass(frozen=True)
class Client:
    http: TestClient
    gateway: Gateway

    def recommended(self, **request: Any) -> list[dict[str, Any]]:
        reply = self.http.post("/v1/recommend", json={"count": 100, **request})
        assert reply.status_code == 200, reply.text
        told = [each.partition(":")[0] for each in reply.json()["fallbacks"]]
        assert told == ([] if reply.json()["items"] else ["empty list"])
        return reply.json()["items"]

    def ids(self, **request: Any) -> list[str]:
        return [item["item_id"] for item in self.recommended(**request)]

    def assert_no_candidate(self, item_id: str) -> None:
        reply = self.http.post("/v1/recommend", json={"candidates": [item_id]}).json()
        assert reply["items"] == []
        assert reply["fallbacks"] == [
            "candidates: left out 1 of 1 that are unknown, had or excluded",
            "empty list: no candidate may be shown",
        ]

    def similar(self, item_id: str, count: int = 100) -> list[str]:
        reply = self.http.get(f"/v1/items/{item_id}/similar", params={"count": count})
        assert reply.status_code == 200, reply.text
        return [item["item_id"] for item in reply.json()["items"]]


@dataclass(frozen=True)
class Place:
    """Where gateways can be started: the models are served, and a store runs."""

    start: Callable[[], Any]
    store_url: str


@pytest.fixture(scope="module")
def place(shop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    scratch = tmp_path_factory.mktemp("items")
    numbers = count()  # each gateway has a file of its own
    models = [ModelConfig(name, shop.registry.folder / "models" / name) for name in MODELS]
    with (
        EmbeddedServer(models) as server,
        embedded_store(scratch / "store") as url,
        ModelClient(server.grpc_target) as client,
    ):

        @contextmanager
        def start() -> Iterator[Client]:
            gateway = Gateway(shop.registry, client, url, scratch / f"unsent-{next(numbers)}.jsonl", PATIENT)
            yield Client(TestClient(create_app(gateway), base_url="http://localhost"), gateway)
            gateway.close()

        yield Place(start, url)


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Client]:
    with place.start() as started:
        yield started


@pytest.fixture(scope="module")
def catalogue(client: Client) -> list[dict[str, Any]]:
    return client.gateway.release.items.to_pylist()


def eventually(condition: Callable[[], bool], tries: int = 3_000) -> bool:
    """Asked again and again: each try is a request or more, so that what another thread does has its time."""
    return any(condition() for _ in range(tries))


def test_an_item_lives_till_it_is_withdrawn(place: Place, client: Client, catalogue: list[dict[str, Any]]) -> None:
    like = catalogue[0]
    body = {"title": "Brand new", "features": {"category": "unheard of", "tags": like["tags"] or [], "price": like["price"]}}
    assert client.ids(filters=UNHEARD_OF) == []

    put = client.http.put("/v1/items/new/1", json=body)
    assert put.json() == {"item_id": "new/1", "release": client.gateway.version, "ranked": False}

    [found] = client.recommended(filters=UNHEARD_OF)
    assert (found["item_id"], found["title"]) == ("new/1", "Brand new")
    assert {"two_tower", "fresh"} <= set(found["sources"])
    known = client.recommended(candidates=[item["item_id"] for item in catalogue[:20]] + ["new/1"])
    [lent] = [item for item in known if item["item_id"] == "new/1"]
    others = [(item["score"], item["tasks"]) for item in known if item is not lent]
    assert (lent["score"], lent["tasks"]) in others  # the ranker does not know it, so it borrows
    assert "new/1" in client.ids()
    assert "new/1" not in client.ids(exclude=["new/1"], filters=UNHEARD_OF)
    neighbour = client.similar("new/1", 1)[0]
    assert neighbour in {item["item_id"] for item in catalogue}
    assert "new/1" in {other for item in catalogue for other in client.similar(item["item_id"], 20)}

    with place.start() as again:  # a restart, and also another gateway beside the first
        assert again.ids(filters=UNHEARD_OF) == ["new/1"]
        assert again.similar("new/1", 1) == [neighbour]
        assert again.http.delete("/v1/items/new/1").status_code == 204
        assert again.http.get("/v1/items/new/1/similar").status_code == 404
    assert eventually(lambda: client.ids(filters=UNHEARD_OF) == [])
    assert client.http.delete("/v1/items/new/1").status_code == 404
    with place.start() as again:
        assert again.ids(filters=UNHEARD_OF) == []
        again.assert_no_candidate("new/1")


def test_an_item_of_the_release_is_withdrawn_and_put_in_again(client: Client, catalogue: list[dict[str, Any]]) -> None:
    gone = client.ids()[0]
    assert client.http.delete(f"/v1/items/{gone}").status_code == 204
    assert gone not in client.ids()
    client.assert_no_candidate(gone)
    assert gone not in {
        other for item in catalogue[:30] if item["item_id"] != gone for other in client.similar(item["item_id"])
    }
    put = client.http.put(f"/v1/items/{gone}", json={"features": {"category": "unheard of"}})
    assert put.json()["ranked"] is True
    assert client.ids(filters=UNHEARD_OF) == [gone]
    [again] = client.recommended(candidates=[gone])
    assert again["title"] == gone  # the title was not given


def test_a_catalogues_own_item_put_in_unchanged_has_the_same_vector(client: Client, catalogue: list[dict[str, Any]]) -> None:
    """The item tower is fed with the same features by training, from columns, and by the gateway, from a request."""
    item = catalogue[5]
    before = client.http.get(f"/v1/items/{item['item_id']}/similar").json()["items"]
    features = {name: item[name] for name in ("category", "tags", "price")}
    body = {"title": item["title"], "created_ms": item["created_ms"], "features": features}
    assert client.http.put(f"/v1/items/{item['item_id']}", json=body).status_code == 200
    after = client.http.get(f"/v1/items/{item['item_id']}/similar").json()["items"]
    assert [each["item_id"] for each in after] == [each["item_id"] for each in before]
    assert [each["score"] for each in after] == pytest.approx([each["score"] for each in before], rel=1e-4, abs=1e-5)


def test_filters_let_through_what_fits(client: Client, catalogue: list[dict[str, Any]]) -> None:
    category = catalogue[0]["category"]
    prices = sorted(item["price"] for item in catalogue if item["price"] is not None)
    middle = prices[len(prices) // 2]
    filters = [{"feature": "category", "one_of": [category]}, {"feature": "price", "at_most": middle}]
    fitting = {
        item["item_id"] for item in catalogue if item["category"] == category and (item["price"] or middle + 1) <= middle
    }
    found = client.ids(filters=filters, user_id="nobody")
    changed = {item for item in fitting if item not in found}
    assert set(found) <= fitting
    assert len(changed) <= 2  # those that other tests have given another category


@pytest.mark.parametrize(
    ("method", "path", "body", "where"),
    [
        ("POST", "/v1/recommend", {"filters": [{"feature": "mood", "one_of": ["dark"]}]}, ["body", "filters", 0, "feature"]),
        ("POST", "/v1/recommend", {"filters": [{"feature": "price", "one_of": ["9"]}]}, ["body", "filters", 0, "one_of"]),
        ("POST", "/v1/recommend", {"filters": [{"feature": "price"}]}, ["body", "filters", 0]),
        ("PUT", "/v1/items/a", {"features": {"mood": "dark"}}, ["body", "features", "mood"]),
        ("PUT", "/v1/items/a", {"features": {"price": -1}}, ["body", "features", "price"]),
        ("PUT", "/v1/items/a", {"name": "A"}, ["body", "name"]),
        ("PUT", f"/v1/items/{'x' * 257}", {}, ["path", "item_id"]),
        ("GET", "/v1/items/a/similar?count=101", None, ["query", "count"]),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(
    client: Client, method: str, path: str, body: Any, where: list[str | int]
) -> None:
    reply = client.http.request(method, path, json=body)
    assert reply.status_code == 422
    assert reply.json()["field"] == ".".join(map(str, where))


def test_an_unknown_item_is_not_found(client: Client) -> None:
    for reply in (client.http.get("/v1/items/no such/similar"), client.http.delete("/v1/items/no such")):
        assert reply.status_code == 404
        assert "item 'no such' is neither in release" in reply.json()["error"]


def test_without_a_store_nothing_changes_and_it_is_said(shop: Any, place: Place, tmp_path: Path) -> None:
    with place.start() as running, embedded_store(tmp_path / "store") as url:
        gateway = Gateway(shop.registry, running.gateway._models, url, tmp_path / "unsent.jsonl", PATIENT)
        http = TestClient(create_app(gateway), base_url="http://localhost")
        item = gateway.release.item_ids[0]
        assert http.delete(f"/v1/items/{item}").status_code == 204
    for reply in (http.put("/v1/items/late", json={}), http.delete(f"/v1/items/{gateway.release.item_ids[1]}")):
        assert reply.status_code == 503
        assert "the store of items does not answer" in reply.json()["error"]
    assert http.get("/v1/items/late/similar").status_code == 404
    assert http.get(f"/v1/items/{item}/similar").status_code == 404  # what was withdrawn does not come back
    gateway.close()


def test_changes_are_laid_over_a_release_of_any_version(client: Client) -> None:
    """What another version of the release would be given: every change, with vectors of its own tower."""
    release = client.gateway.release
    assert release.base is not None
    again = client.gateway._live.over(dataclasses.replace(release.base))
    assert again.item_ids.tolist() == release.item_ids.tolist()
    rows = np.arange(len(release.item_ids), dtype=np.int32)
    np.testing.assert_allclose(again.vectors[rows], release.vectors[rows], atol=1e-5)
