"""The gateway over a release that the pipeline has published: a real model server, a real Valkey, real HTTP semantics."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pyarrow.parquet as pq
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from components.errors import ConfigError
from components.push.registry import MANIFEST_FILE, MODELS, Registry
from components.schema.events import event_files
from components.schema.samples import query_features
from pipelines.beam_profiles import LOCAL_BEAM
from pipelines.nearline import StreamTier
from serving.child_process import ChildProcess
from serving.embedded_store import embedded_store
from serving.gateway.access import OPEN_PATHS
from serving.gateway.api import RecommendRequest
from serving.gateway.app import create_app
from serving.gateway.command_line import main
from serving.gateway.keys import Keys, Role
from serving.gateway.limits import Limits
from serving.gateway.service import Gateway
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.item_store import ItemStore
from serving.log_writer.group import WriterGroup
from serving.log_writer.online_log import OnlineLog
from serving.log_writer.settings import LogWriterSettings
from serving.log_writer.writer import LogWriter
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer
from tests.pipelines import online_log
from tests.pipelines.conftest import every_step

pytestmark = pytest.mark.e2e

# Machines that run tests are slow and shared; what a request takes is for the benchmarks.
PATIENT = GatewaySettings.model_validate(
    {"deadline_ms": 60_000, "budgets_ms": {"state": 20_000, "query_tower": 20_000, "ranker": 20_000}}
)


@dataclass(frozen=True)
class Running:
    http: TestClient
    gateway: Gateway
    clicked: dict[str, set[str]]
    catalogue: set[str]
    open_another: Callable[..., Gateway]  # over the same store and models

    def recommend(self, **request: Any) -> dict[str, Any]:
        reply = self.http.post("/v1/recommend", json=request)
        assert reply.status_code == 200, reply.text
        return reply.json()


@pytest.fixture(scope="module")
def running(shop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    scratch = tmp_path_factory.mktemp("gateway")
    models = [ModelConfig(name, shop.registry.folder / "models" / name) for name in MODELS]
    clicked: dict[str, set[str]] = {}
    for event in shop.events.select(["user_id", "item_id", "type"]).to_pylist():
        if event["type"] == "click":
            clicked.setdefault(event["user_id"], set()).add(event["item_id"])
    with (
        EmbeddedServer(models) as server,
        embedded_store(scratch / "store") as url,
        ModelClient(server.grpc_target) as client,
    ):
        gateway = Gateway(shop.registry, client, url, scratch / "unsent.jsonl", PATIENT)
        items = set(gateway.release.item_ids.tolist())
        others: list[Gateway] = []

        def open_another(settings: GatewaySettings, trends: Path | None = None) -> Gateway:
            others.append(Gateway(shop.registry, client, url, scratch / f"unsent-{len(others)}.jsonl", settings, trends))
            return others[-1]

        yield Running(TestClient(create_app(gateway), base_url="http://localhost"), gateway, clicked, items, open_another)
        for each in (gateway, *others):
            each.close()


def ids(reply: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in reply["items"]]


def test_a_known_user_gets_new_items_best_first(running: Running) -> None:
    user, had = max(running.clicked.items(), key=lambda pair: len(pair[1]))
    reply = running.recommend(user_id=user, count=20)
    assert reply["fallbacks"] == []
    assert reply["release"] == running.gateway.version
    assert len(set(ids(reply))) == 20
    assert set(ids(reply)) <= running.catalogue - had
    scores = [item["score"] for item in reply["items"]]
    assert scores == sorted(scores, reverse=True)
    assert [item["rank"] for item in reply["items"]] == list(range(1, 21))
    assert all(set(item["tasks"]) == {"click", "dwell"} and item["sources"] for item in reply["items"])
    assert set(reply["timings_ms"]) == {"waiting", "state", "recall", "ranking", "total"}


def test_who_has_waited_too_long_already_gets_a_list_at_once_and_is_told(running: Running) -> None:
    long_ago_s = time.monotonic() - PATIENT.deadline_ms / 1000
    reply = running.gateway.recommend(RecommendRequest(user_id=min(running.clicked)), long_ago_s)
    assert len(reply.items) == 10
    assert reply.fallbacks == [
        "state store: the release's snapshot of the user",
        "query tower: recall without it",
        "ranker: the order of recall",
    ]
    assert reply.timings_ms["waiting"] >= PATIENT.deadline_ms


@pytest.mark.parametrize("user", [{}, {"user_id": "never seen"}])
def test_a_visitor_of_whom_nothing_is_known_gets_a_list(running: Running, user: dict[str, str]) -> None:
    reply = running.recommend(**user)
    assert len(ids(reply)) == 10
    assert reply["fallbacks"] == []


def test_what_was_just_done_is_known_to_the_next_request(running: Running) -> None:
    first = running.recommend(user_id="busy", count=3)
    event = {
        "event_id": "b1", "user_id": "busy", "item_id": ids(first)[0], "type": "click", "timestamp_ms": 1_900_000_000_000,
    }  # fmt: skip
    sent = running.http.post("/v1/events", json={"events": [event, {**event, "event_id": "b2", "type": "impression"}]})
    assert sent.json() == {"folded": 1, "repeated": 0, "ignored": 1, "deferred": 0}
    again = running.http.post("/v1/events", json={"events": [event]})
    assert again.json() == {"folded": 0, "repeated": 1, "ignored": 0, "deferred": 0}
    assert ids(first)[0] not in ids(running.recommend(user_id="busy", count=100))


def test_events_of_a_known_user_go_on_from_the_release(running: Running) -> None:
    user, had = max(running.clicked.items(), key=lambda pair: len(pair[1]))
    item = ids(running.recommend(user_id=user))[0]
    event = {"event_id": "k1", "user_id": user, "item_id": item, "type": "click", "timestamp_ms": 1_900_000_000_000}
    assert running.http.post("/v1/events", json={"events": [event]}).json()["folded"] == 1
    again = set(ids(running.recommend(user_id=user, count=100)))
    assert not again & (had | {item})


def test_a_request_can_be_as_of_a_moment_of_the_past(running: Running) -> None:
    user = max(running.clicked, key=lambda user: len(running.clicked[user]))
    then, later = 1_750_000_000_000, 1_850_000_000_000

    def scores(moment: int) -> list[float]:
        return [item["score"] for item in running.recommend(user_id=user, timestamp_ms=moment)["items"]]

    assert scores(then) == scores(then)
    assert scores(then) != scores(later)  # the user's idle time is a feature


def test_a_sessions_own_events_count_for_its_request_alone(running: Running) -> None:
    first = ids(running.recommend(user_id="session", count=3))
    events = [{"item_id": first[0], "type": "click", "timestamp_ms": 1_900_000_000_000}]
    assert first[0] not in ids(running.recommend(user_id="session", count=100, events=events))
    assert first[0] in ids(running.recommend(user_id="session", count=100))


def test_excluded_items_and_a_given_choice_are_kept_to(running: Running) -> None:
    choice = sorted(running.catalogue)[:6]
    reply = running.recommend(candidates=[*choice, "no such item"], exclude=choice[:2])
    assert sorted(ids(reply)) == choice[2:]
    assert {item["sources"][0] for item in reply["items"]} == {"request"}


def test_similar_items_are_not_those_that_are_banned_or_break_a_rule(running: Running) -> None:
    path = f"/v1/items/{min(running.catalogue)}/similar"
    near = ids(running.http.get(path, params={"count": 20}).json())
    category = {row["item_id"]: row["category"] for row in running.gateway.release.items.to_pylist()}
    banned, denied = near[0], category[near[1]]
    rerank = {"banned": [banned], "rules": [{"feature": "category", "deny": [denied]}]}
    strict = running.open_another(GatewaySettings.model_validate(PATIENT.model_dump() | {"rerank": rerank}))
    found = ids(TestClient(create_app(strict), base_url="http://localhost").get(path, params={"count": 20}).json())
    fitting = [item for item in near if item != banned and category[item] != denied]
    assert found[: len(fitting)] == fitting
    assert banned not in found
    assert denied not in {category[item] for item in found}


@pytest.mark.parametrize(
    ("request_body", "field"),
    [
        ({"user": "ann"}, "body.user"),
        ({"count": 0}, "body.count"),
        ({"count": 101}, "body.count"),
        ({"user_id": "x" * 257}, "body.user_id"),
        ({"context": {"device": 3}}, "body.context.device"),
        ({"context": {"devcie": "phone"}}, "body.context.devcie"),
        ({"candidates": []}, "body.candidates"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_its_field(running: Running, request_body: Any, field: str) -> None:
    reply = running.http.post("/v1/recommend", json=request_body)
    assert reply.status_code == 422
    assert reply.json()["field"] == field


def test_an_event_with_context_that_the_data_set_does_not_have_is_refused_with_all_that_came_along(running: Running) -> None:
    event = {"user_id": "typing", "item_id": min(running.catalogue), "type": "click", "timestamp_ms": 1_900_000_000_000}
    events = [
        {**event, "event_id": "t1", "context": {"device": "phone"}},
        {**event, "event_id": "t2", "context": {"devcie": "x"}},
    ]
    reply = running.http.post("/v1/events", json={"events": events})
    assert (reply.status_code, reply.json()) == (
        422,
        {"error": "found 'devcie', wanted one of: device", "field": "body.events.1.context.devcie"},
    )
    assert running.http.post("/v1/events", json={"events": events[:1]}).json()["folded"] == 1


def test_the_command_refuses_to_listen_elsewhere_before_it_starts_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--workdir", str(tmp_path), "--host", "0.0.0.0"]) == ConfigError.exit_code  # noqa: S104
    assert "to listen on 0.0.0.0, which others can reach, set WINNOW_RECOMMEND_KEY" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_was_shown_and_done_reaches_the_online_log(running: Running, tmp_path: Path) -> None:
    past_ms = 1_750_000_000_000
    reply = running.recommend(user_id="logged", count=3, timestamp_ms=past_ms)
    event = {
        "event_id": "l1", "user_id": "logged", "item_id": ids(reply)[1], "type": "click", "timestamp_ms": 1_900_000_000_000,
        "request_id": reply["request_id"],
    }  # fmt: skip
    assert running.http.post("/v1/events", json={"events": [event]}).status_code == 200
    group = WriterGroup(running.gateway._store_url, "one")
    writer = LogWriter(group, OnlineLog(tmp_path), LogWriterSettings(max_wait_s=0))
    rows: dict[str, Any] = {}
    deadline_s = time.monotonic() + 60  # lists are sent behind the reply
    while not {"l1", f"{reply['request_id']}:1"} <= set(rows):
        assert time.monotonic() < deadline_s
        writer.gather()
        writer.write()
        rows = {row["event_id"]: row for path in event_files(tmp_path / "events") for row in table(path)}
    group.close()
    assert rows["l1"]["request_id"] == reply["request_id"]
    impressions = [rows[f"{reply['request_id']}:{rank}"] for rank in (1, 2, 3)]
    assert [(row["item_id"], row["type"]) for row in impressions] == [(item, "impression") for item in ids(reply)]
    assert all(row["timestamp_ms"] == past_ms < row["received_ms"] for row in impressions)
    lists = {row["request_id"]: row for path in event_files(tmp_path / "shown") for row in table(path)}
    logged = lists[reply["request_id"]]
    assert [place["score"] for place in logged["places"]] == pytest.approx([item["score"] for item in reply["items"]])
    release = running.gateway.release
    asked = json.loads(logged["features"])
    assert list(asked) == query_features(release.config, release.form.types)
    assert asked["user_id"] == ["logged"]


def table(path: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(path).read().to_pylist()


def known(http: TestClient, item_id: str) -> bool:
    return http.get(f"/v1/items/{item_id}/similar").status_code == 200


def test_what_trends_follows_the_stream_tier(running: Running, tmp_path: Path) -> None:
    gateway = running.open_another(PATIENT, tmp_path / "stream")
    last = str(gateway.release.item_ids[gateway.release.trending[-1]])
    online_log.log(tmp_path, 1, online_log.event("1", last))
    online_log.counted(StreamTier(gateway.release.config, tmp_path, LOCAL_BEAM))
    deadline_s = time.monotonic() + 60
    while gateway.release.item_ids[gateway.release.trending[0]] != last:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_a_gateway_without_models_or_store_still_answers(shop: Any, tmp_path: Path) -> None:
    """Both are stopped under a running gateway: the list is recall's, and the reply says so."""
    models = [ModelConfig(name, shop.registry.folder / "models" / name) for name in MODELS]
    with embedded_store(tmp_path / "store") as url:
        with EmbeddedServer(models) as server:
            client = ModelClient(server.grpc_target)
            gateway = Gateway(shop.registry, client, url, tmp_path / "unsent.jsonl", GatewaySettings())
        http = TestClient(create_app(gateway), base_url="http://localhost")
        # Without the item tower an item cannot be served, but is kept till it answers again.
        assert http.put("/v1/items/waiting", json={}).status_code == 503
        assert http.get("/v1/items/waiting/similar").status_code == 404
        with closing(ItemStore(url)) as items:
            assert [change.item_id for change in items.since(0)[1]] == ["waiting"]
        # To withdraw an item takes no tower, neither that one nor another one while that one waits.
        withdrawn = next(item for item in shop.events["item_id"].to_pylist() if known(http, item))
        for item in (withdrawn, "waiting"):
            assert http.delete(f"/v1/items/{item}").status_code == 204
            assert http.delete(f"/v1/items/{item}").status_code == 404
            assert not known(http, item)
    assert http.get("/readyz").status_code == 503
    reply = http.post("/v1/recommend", json={"user_id": "anyone"})
    assert reply.status_code == 200
    assert len(reply.json()["items"]) == 10
    assert reply.json()["fallbacks"] == [
        "state store: the release's snapshot of the user",
        "query tower: recall without it",
        "ranker: the order of recall",
    ]
    event = {"event_id": "e", "user_id": "u", "item_id": "i", "type": "click", "timestamp_ms": 1_900_000_000_000}
    sent = http.post("/v1/events", json={"events": [event]})
    assert sent.status_code == 200
    assert sent.json() == {"folded": 0, "repeated": 0, "ignored": 0, "deferred": 1}
    page = http.get("/metrics").text
    assert all(f'winnow_fallbacks_total{{fallback="{name}"}} 1.0' in page for name in ("state store", "query tower", "ranker"))
    assert f"winnow_release_version {gateway.version}.0" in page
    gateway.close()
    client.close()
    assert (tmp_path / "unsent.jsonl").exists()  # what was shown is kept for later


def test_a_new_release_and_a_roll_back_are_taken_up_without_a_fallback(shop: Any, tmp_path: Path) -> None:
    shutil.copytree(shop.registry.folder, tmp_path / "releases")
    registry = Registry(tmp_path / "releases")
    first = registry.current()
    assert first is not None
    models = registry.write_models_file(first)
    with (
        embedded_store(tmp_path / "store") as url,
        EmbeddedServer(models, poll_interval_s=0.1) as server,
        ModelClient(server.grpc_target) as client,
    ):
        gateway = Gateway(registry, client, url, tmp_path / "unsent.jsonl", PATIENT)
        http = TestClient(create_app(gateway), base_url="http://localhost")
        withdrawn = http.post("/v1/recommend", json={"user_id": "anyone"}).json()["items"][0]["item_id"]
        assert http.delete(f"/v1/items/{withdrawn}").status_code == 204
        assert http.put("/v1/items/put in before", json={"features": {"category": "unheard of"}}).status_code == 200
        second = publish_again(registry, first)
        for version, change in ((second, lambda: None), (first, registry.roll_back), (second, registry.roll_back)):
            change()
            replies = recommended_until(http, version)
            assert {reply["release"] for reply in replies} <= {first, second}
            assert all(len(reply["items"]) == 10 and reply["fallbacks"] == [] for reply in replies)
            assert all(withdrawn not in ids(reply) for reply in replies)
            assert http.get("/v1/items/put in before/similar").json()["release"] == version
        gateway.close()


def test_a_release_whose_model_does_not_load_is_passed_over_at_the_start(shop: Any, tmp_path: Path) -> None:
    """The manifest is right: the ranker was no model when it was published."""
    shutil.copytree(shop.registry.folder, tmp_path / "releases")
    registry = Registry(tmp_path / "releases")
    first = registry.current()
    assert first is not None
    shutil.copytree(registry.model("ranker", first), tmp_path / "broken")
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"no model")
    models = registry.write_models_file(first)
    with (
        embedded_store(tmp_path / "store") as url,
        EmbeddedServer(models, poll_interval_s=0.1) as server,
        ModelClient(server.grpc_target) as client,
    ):
        publish_again(registry, first, ranker=tmp_path / "broken")
        with closing(Gateway(registry, client, url, tmp_path / "unsent.jsonl", PATIENT)) as gateway:
            assert gateway.version == first
            reply = gateway.recommend(RecommendRequest(user_id="anyone"), time.monotonic())
            assert (len(reply.items), reply.fallbacks) == (10, [])


def publish_again(registry: Registry, version: int, **models: Path) -> int:
    """The same release under the next number, but for some models."""
    bundle = registry.bundle(version)
    return registry.publish(
        "shop",
        models={name: registry.model(name, version) for name in MODELS} | models,
        parts={path.name: path for path in bundle.iterdir() if path.is_dir()},
        documents={path.name: path.read_text() for path in bundle.glob("*.json") if path.name != MANIFEST_FILE},
        candidates=registry.manifest(version).candidates,
        fingerprint="the same",
        compared_with=version,
        metrics={},
    )


def recommended_until(http: TestClient, version: int) -> list[dict[str, Any]]:
    """Replies, asked for one after the other, till one is of the release."""
    replies: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    while not replies or replies[-1]["release"] != version:
        assert time.monotonic() < deadline
        replies.append(http.post("/v1/recommend", json={"user_id": "anyone"}).json())
    return replies


def test_replicas_take_up_a_release_and_a_roll_back_under_load_and_no_list_suffers(shop: Any, tmp_path: Path) -> None:
    """Two gateways, each a process of its own, over one model server and one folder of releases, asked all the time."""
    shutil.copytree(shop.registry.folder, tmp_path / "releases")
    registry = Registry(tmp_path / "releases")
    first = registry.current()
    assert first is not None
    (tmp_path / "settings.yaml").write_text(json.dumps(PATIENT.model_dump(include={"deadline_ms", "budgets_ms"})))
    with (
        embedded_store(tmp_path / "store") as store_url,
        EmbeddedServer(registry.write_models_file(first), poll_interval_s=0.1) as server,
        ExitStack() as stack,
    ):
        flags = [f"--model_server={server.grpc_target}", f"--store_url={store_url}", f"--settings={tmp_path / 'settings.yaml'}"]
        callers = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "releases").symlink_to(registry.folder)
            arguments = [f"--workdir={tmp_path / name}", "--port=0", *flags]
            gateway = ChildProcess("gateway", "serving.gateway", arguments, tmp_path / f"{name}.log", 120.0, 30.0)
            said = gateway.start()
            stack.callback(gateway.stop)
            callers.append(stack.enter_context(closing(Caller(said["url"]))))
        second = publish_again(registry, first)
        for version, change in ((second, lambda: None), (first, registry.roll_back)):
            change()
            for caller in callers:
                caller.wait_for(version)
    for caller in callers:
        assert caller.failures == []
        assert {reply["release"] for reply in caller.replies} == {first, second}
        assert all(len(reply["items"]) == 10 and reply["fallbacks"] == [] for reply in caller.replies)


class Caller:
    """Asks a gateway for lists, one after the other, from its making till it is closed."""

    def __init__(self, url: str) -> None:
        self.replies: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self._url = f"{url}/v1/recommend"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def wait_for(self, version: int) -> None:
        deadline_s = time.monotonic() + 60
        while not self.replies or self.replies[-1]["release"] != version:
            assert time.monotonic() < deadline_s, self.failures
            time.sleep(0.01)

    def close(self) -> None:
        self._ending.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._ending.is_set():
                try:
                    self.replies.append(client.post(self._url, json={"user_id": "anyone"}).raise_for_status().json())
                except httpx.HTTPError as error:
                    self.failures.append(str(error))


# From here on the running gateway gets events and items of no sense: what needs it clean stands above.
KEYS = {role: f"{role}-key-0123456789" for role in Role}
ADMIN = {"Authorization": f"Bearer {KEYS[Role.ADMIN]}"}


@pytest.fixture(scope="module")
def locked(running: Running) -> FastAPI:
    """A gateway behind keys, with every step of re-ranking and an experiment."""
    keys = Keys.from_environment({role.variable: key for role, key in KEYS.items()})
    first, second = sorted(running.catalogue)[:2]
    steps = {**every_step(pinned=first, banned=second), "rules": [{"feature": "price", "at_least": 1}]}
    arms = {"diverse": {"control": {"share": 1}, "more": {"share": 1, "rerank": {"diversity": {"method": "mmr"}}}}}
    settings = GatewaySettings.model_validate(PATIENT.model_dump() | {"rerank": steps, "experiments": arms})
    return create_app(running.open_another(settings), keys, Limits(burst=1_000_000))


def test_every_route_but_the_probes_is_for_a_role(locked: FastAPI) -> None:
    http = TestClient(locked)
    for path, operations in http.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            assert ("security" in operation) == (path not in OPEN_PATHS)
            if path not in OPEN_PATHS:
                assert http.request(method, path.replace("{item_id}", "i")).status_code == 401


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.filterwarnings("ignore")
def test_no_request_makes_the_gateway_fail_or_break_its_openapi_document(locked: FastAPI, mode: GenerationMode) -> None:
    """Requests that fit the document, and those that do not: no 5xx, and each reply as it is declared."""
    codes = set()
    for found in schemathesis.openapi.from_asgi("/openapi.json", locked).get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and operation.path in OPEN_PATHS:
            continue  # nothing can be wrong about them

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @hypothesis.settings(
            max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
        )
        def answers_as_declared(case: schemathesis.Case) -> None:
            reply = case.call(headers=ADMIN)
            # Whether a feature is one of the release's, no document can say.
            case.validate_response(reply, headers=ADMIN, excluded_checks=[positive_data_acceptance])
            codes.add(reply.status_code)

        answers_as_declared()
    assert codes >= ({200} if mode is GenerationMode.POSITIVE else {422})


def test_numbers_at_the_edge_of_what_fits_do_not_spoil_later_replies(running: Running) -> None:
    item = min(running.catalogue)
    event = {"user_id": "edge", "item_id": item, "type": "click", "timestamp_ms": 1_900_000_000_000}
    events = [{**event, "event_id": f"edge {value}", "value": value} for value in (3.4e38, -3.4e38, 1e-320)]
    assert running.http.post("/v1/events", json={"events": events}).json()["folded"] == 3
    assert len(ids(running.recommend(user_id="edge"))) == 10
    for number, value in enumerate((3.4e38, -3.4e38, 1e-320)):
        put = running.http.put(f"/v1/items/edge-{number}", json={"features": {"price": value}})
        assert put.status_code in (200, 422)
        assert running.http.get(f"/v1/items/edge-{number}/similar").status_code == (200 if put.status_code == 200 else 404)
    assert running.http.get(f"/v1/items/{item}/similar").status_code == 200
    assert len(ids(running.recommend(user_id="edge"))) == 10
