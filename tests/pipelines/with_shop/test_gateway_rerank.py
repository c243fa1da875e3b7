"""Re-ranking inside the gateway, over a release that the pipeline has published."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from components.errors import ConfigError
from components.push.registry import MODELS
from serving.embedded_store import embedded_store
from serving.gateway.app import create_app
from serving.gateway.service import Gateway
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer
from tests.pipelines.conftest import every_step

pytestmark = pytest.mark.e2e

PATIENT = {"deadline_ms": 60_000, "budgets_ms": {"state": 20_000, "query_tower": 20_000, "ranker": 20_000}}
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def gateway_with(shop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ask]]:
    """Makes a gateway with these settings of re-ranking; gives how to ask it."""
    scratch = tmp_path_factory.mktemp("rerank")
    numbers = count()  # each gateway has a file of its own
    models = [ModelConfig(name, shop.registry.folder / "models" / name) for name in MODELS]
    gateways: list[Gateway] = []
    with (
        EmbeddedServer(models) as server,
        embedded_store(scratch / "store") as url,
        ModelClient(server.grpc_target) as client,
    ):

        def make(rerank: dict[str, Any], **settings: Any) -> Ask:
            settings = {**PATIENT, **settings, "rerank": rerank}
            gateway = Gateway(
                shop.registry, client, url, scratch / f"unsent-{next(numbers)}.jsonl", GatewaySettings.model_validate(settings)
            )
            gateways.append(gateway)
            http = TestClient(create_app(gateway), base_url="http://localhost")

            def ask(**request: Any) -> dict[str, Any]:
                reply = http.post("/v1/recommend", json=request)
                assert reply.status_code == 200, reply.text
                return reply.json()

            return ask

        yield make
        for gateway in gateways:
            gateway.close()


@pytest.fixture(scope="module")
def plain(gateway_with: Callable[..., Ask]) -> dict[str, Any]:
    """What a visitor gets without any re-ranking."""
    return gateway_with({})(count=30)


@pytest.fixture(scope="module")
def goods(shop: Any) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(shop.artifact("Ingest", "catalogue") / "items.parquet").to_pylist()
    return {row["item_id"]: row for row in rows}


def ids(reply: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def test_every_step_shows_in_the_reply(
    gateway_with: Callable[..., Ask], plain: dict[str, Any], goods: dict[str, dict[str, Any]]
) -> None:
    assert [item["rerank"] for item in plain["items"]] == [[]] * 30
    banned, pinned = ids(plain)[0], ids(plain)[20]
    ask = gateway_with(every_step(pinned, banned))
    reply = ask(count=10)
    assert reply["fallbacks"] == []
    assert len(set(ids(reply))) == 10
    assert banned not in ids(reply)
    assert ids(reply)[2] == pinned
    capped = [item for item in ids(reply)[:8] if item != pinned]
    assert max(Counter(goods[item]["category"] for item in capped).values()) <= 2
    order = ["combination", "freshness", "popularity", "dpp", "caps", "pinned"]
    assert [name for name in reply["timings_ms"] if name.startswith("rerank.")] == [f"rerank.{name}" for name in order]
    for item in reply["items"]:
        told = item["rerank"]
        assert [change["step"] for change in told] == sorted((change["step"] for change in told), key=order.index)
        assert told[0]["step"] == "combination"
        assert told[-1]["to_rank"] == item["rank"]
        assert all(after["from_rank"] == before["to_rank"] for before, after in pairwise(told))
        assert all(change["reason"] for change in told)
    assert reply["items"][2]["rerank"][-1]["reason"] == "pinned to place 3"
    assert ask(candidates=["no such item"])["items"] == []


def test_diversity_lets_other_items_in(gateway_with: Callable[..., Ask], plain: dict[str, Any]) -> None:
    reply = gateway_with({"diversity": {"method": "mmr", "relevance": 0.1}})(count=10)
    assert ids(reply)[0] == ids(plain)[0]
    assert ids(reply) != ids(plain)[:10]
    moved = [item for item in reply["items"] if item["rerank"]]
    assert moved
    for item in moved:
        [change] = item["rerank"]
        assert ids(plain)[change["from_rank"] - 1 : change["from_rank"]] in ([item["item_id"]], [])  # [] past the 30th
        assert "with those above" in change["reason"]


def test_rules_keep_the_list_full_where_they_can_and_say_where_they_cannot(
    gateway_with: Callable[..., Ask], goods: dict[str, dict[str, Any]]
) -> None:
    dear = sorted(goods, key=lambda item: -(goods[item]["price"] or 0))[:6]
    least = min(goods[item]["price"] for item in dear)
    ask = gateway_with({"rules": [{"feature": "price", "at_least": least}], "pinned": {min(set(goods) - set(dear)): 1}})
    full = ask(count=6)
    assert sorted(ids(full)) == sorted(dear)
    assert full["fallbacks"] == []
    short = ask(count=8)
    assert sorted(ids(short)) == sorted(dear)
    assert short["fallbacks"] == ["banned items and rules: left 6 of 8 items"]
    chosen = ask(candidates=[*dear[:2], *sorted(set(goods) - set(dear))[:3]])
    assert sorted(ids(chosen)) == sorted(dear[:2])
    assert chosen["fallbacks"] == ["banned items and rules: left out 3 of 5 candidates"]


def test_without_time_soft_steps_are_left_out_and_hard_ones_are_not(
    gateway_with: Callable[..., Ask], plain: dict[str, Any]
) -> None:
    banned, pinned = ids(plain)[:2]
    ask = gateway_with(
        {
            "combination": {"click": {"weight": 1}},
            "diversity": {"method": "mmr"},
            "banned": [banned],
            "pinned": {pinned: 2},
        },
        deadline_ms=0.001,
    )
    reply = ask(count=5)
    assert len(ids(reply)) == 5
    assert banned not in ids(reply)
    assert ids(reply)[1] == pinned
    assert reply["fallbacks"] == [
        "query tower: recall without it",
        "ranker: the order of recall",
        "rerank.combination: left out, there are no predictions",
        "rerank.mmr: left out, there is no time",
    ]
    assert [name for name in reply["timings_ms"] if name.startswith("rerank.")] == ["rerank.pinned"]


def test_users_get_what_their_arms_say(gateway_with: Callable[..., Ask], plain: dict[str, Any]) -> None:
    first, second = ids(plain)[:2]
    strategy = {"control": {}, "banning": {"rerank": {"banned": [second]}}}
    sources = {"control": {"share": 3}, "popular": {"share": 1, "quotas": {"popular": 30}}}
    ask = gateway_with({"banned": [first]}, experiments={"strategy": strategy, "sources": sources})
    seen: Counter[tuple[str, str]] = Counter()
    for n in range(60):
        reply = ask(user_id=f"stranger {n}", count=10)
        arms = reply["experiments"]
        seen[arms["strategy"], arms["sources"]] += 1
        assert (second if arms["strategy"] == "banning" else first) not in ids(reply)
        found_by = {source for item in reply["items"] for source in item["sources"]}
        assert (found_by == {"popular"}) == (arms["sources"] == "popular")
        assert ask(user_id=f"stranger {n}")["experiments"] == arms
    assert len(seen) == 4
    assert ask()["experiments"] == {}  # who cannot be recognised is in none
    assert first not in ids(ask())


def test_settings_that_do_not_fit_the_release_are_refused(gateway_with: Callable[..., Ask]) -> None:
    with pytest.raises(
        ConfigError, match=r"rerank\.caps\.0\.feature: the release has no item feature 'aisle'; it has: category"
    ):
        gateway_with({"caps": [{"feature": "aisle", "most": 1}]})


def test_steps_work_on_the_order_of_recall_when_the_ranker_does_not_answer(gateway_with: Callable[..., Ask]) -> None:
    """A budget too small for the ranker to be asked; the deadline leaves time for the rest."""
    ask = gateway_with({"diversity": {"method": "dpp", "relevance": 0.3}}, budgets_ms={"query_tower": 20_000, "ranker": 0.001})
    reply = ask(count=10)
    assert reply["fallbacks"] == ["ranker: the order of recall"]
    assert len(ids(reply)) == 10
    assert [item["score"] for item in reply["items"]] == [None] * 10
    changes = [change for item in reply["items"] for change in item["rerank"]]
    assert {change["step"] for change in changes} == {"dpp"}
