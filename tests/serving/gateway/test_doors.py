"""What clients meet before any room: keys, limits, one shape of refusal; over real sockets where it is about sockets."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from components.errors import ServingError
from serving.gateway.access import requires
from serving.gateway.api import EventsReply, EventsRequest
from serving.gateway.doors import guarded_app
from serving.gateway.http_server import http_server
from serving.gateway.keys import Keys, Role
from serving.gateway.limits import Limits
from serving.gateway.metrics import Metrics

DEFAULTS = Limits()
KEYS = {role: f"{role}-key-0123456789" for role in Role}
EVENT = {"event_id": "e", "user_id": "u", "item_id": "i", "type": "click", "timestamp_ms": 1_900_000_000_000}
BODY = {"events": [EVENT]}


def rooms(limits: Limits = DEFAULTS, with_keys: bool = True) -> FastAPI:
    """The doors, with a few plain rooms behind them."""
    keys = Keys.from_environment({role.variable: key for role, key in KEYS.items()}) if with_keys else None
    app = guarded_app(keys, limits, Metrics())

    @app.get("/v1/items/{item_id}/similar", dependencies=requires(Role.RECOMMEND))
    def similar(item_id: str) -> dict[str, str]:
        return {"item_id": item_id}

    @app.post("/v1/events", dependencies=requires(Role.EVENTS))
    def events(request: EventsRequest) -> EventsReply:
        if request.events[0].item_id == "full":
            raise ServingError("the state store does not answer")
        if request.events[0].item_id == "bug":
            raise RuntimeError("secret detail")
        return EventsReply(folded=len(request.events), repeated=0, ignored=0, deferred=0)

    @app.delete("/v1/items/{item_id}", dependencies=requires(Role.ADMIN))
    def delete(item_id: str) -> dict[str, str]:
        return {"deleted": item_id}

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    return app


def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[role]}"}


@pytest.fixture(scope="module")
def locked() -> TestClient:
    return TestClient(rooms(), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def unlocked() -> TestClient:
    return TestClient(rooms(with_keys=False), "http://localhost", raise_server_exceptions=False)


ROUTES = [("GET", "/v1/items/i/similar", Role.RECOMMEND), ("POST", "/v1/events", Role.EVENTS)]
ROUTES += [("DELETE", "/v1/items/i", Role.ADMIN), ("GET", "/metrics", Role.ADMIN)]


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_a_route_opens_to_its_key_and_to_the_administrators(locked: TestClient, method: str, path: str, role: Role) -> None:
    body = BODY if method == "POST" else None
    for held in Role:
        by_bearer = locked.request(method, path, json=body, headers=bearer(held))
        by_header = locked.request(method, path, json=body, headers={"X-API-Key": KEYS[held]})
        assert by_bearer.status_code == by_header.status_code == (200 if held in (role, Role.ADMIN) else 403)
        if by_bearer.status_code == 403:
            assert by_bearer.json() == {"error": f"this key is for {held}; here one for {role} is needed"}


WRONG = [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer recommend-key"}, {"X-API-Key": "x" * 8_000}]
WRONG += [{"Authorization": f"Basic {KEYS[Role.ADMIN]}"}, {"Authorization": KEYS[Role.ADMIN]}]
WRONG += [{"Cookie": f"X-API-Key={KEYS[Role.ADMIN]}"}, {"Authorization": "Bearer schlüssel"}]


@pytest.mark.parametrize("headers", WRONG)
@pytest.mark.parametrize("path", ["/v1/items/i/similar", "/metrics", "/no/such/path", "/v1/items/i/similar?key=admin"])
def test_without_a_right_key_nothing_is_said(locked: TestClient, headers: dict[str, str], path: str) -> None:
    reply = locked.get(path, headers={name: value.encode("latin-1") for name, value in headers.items()})
    assert reply.status_code == 401
    assert reply.json() == {"error": "a key is needed: Authorization: Bearer <key>"}
    assert reply.headers["www-authenticate"] == "Bearer"


def test_a_body_is_not_read_for_one_without_a_key(locked: TestClient) -> None:
    assert locked.post("/v1/events", content=b"[" * 100, headers={"Content-Type": "x"}).status_code == 401


def test_health_and_the_document_are_open(locked: TestClient) -> None:
    assert locked.get("/healthz").json() == {"status": "alive"}
    assert locked.get("/openapi.json").status_code == 200
    assert locked.get("/docs", headers=bearer(Role.ADMIN)).status_code == 404  # it would load scripts from elsewhere


def test_without_keys_everything_is_open(unlocked: TestClient) -> None:
    assert unlocked.post("/v1/events", json=BODY).status_code == 200
    assert unlocked.get("/metrics").status_code == 200
    assert unlocked.delete("/v1/items/i").status_code == 200


OWN_HOSTS = ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080"]
OTHER_HOSTS = ["evil.example.org", "evil.example.org:8080", "localhost.example.org", "127.0.0.1.example.org", "192.168.0.2", ""]


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_without_keys_this_machines_own_names_are_answered(unlocked: TestClient, host: str) -> None:
    assert unlocked.get("/v1/items/i/similar", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", OTHER_HOSTS)
@pytest.mark.parametrize("path", ["/v1/items/i/similar", "/metrics", "/healthz"])
def test_without_keys_another_name_that_leads_here_is_not(
    locked: TestClient, unlocked: TestClient, path: str, host: str
) -> None:
    """As a browser would ask for a page from elsewhere, once the name of that place has become one of this machine."""
    reply = unlocked.get(path, headers={"Host": host})
    assert reply.status_code == 421
    assert reply.json() == {
        "error": "without keys this gateway answers only to localhost, 127.0.0.1 or [::1] as the Host; to be reached by "
        "another name, give it keys (WINNOW_RECOMMEND_KEY, WINNOW_EVENTS_KEY, WINNOW_ADMIN_KEY) and --host"
    }
    assert locked.get(path, headers={**bearer(Role.ADMIN), "Host": host}).status_code == 200


def test_the_document_declares_keys_roles_and_refusals(locked: TestClient) -> None:
    document = locked.get("/openapi.json").json()
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for method, path, role in ROUTES:
        operation = document["paths"][path.replace("/i", "/{item_id}").replace("{item_id}tems", "items")][method.lower()]
        assert operation["security"] == [{"bearer": [role]}]
        for status in ("400", "401", "403", "404", "405", "408", "413", "415", "421", "422", "429", "503"):
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Refusal"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"item": "i"}, "body.events.1.item"),
        ({"item_id": ""}, "body.events.1.item_id"),
        ({"item_id": "x" * 257}, "body.events.1.item_id"),
        ({"item_id": ["i"]}, "body.events.1.item_id"),
        ({"context": {"device": {}}}, "body.events.1.context.device"),
        ({"context": {f"n{number}": "v" for number in range(33)}}, "body.events.1.context"),
        ({"timestamp_ms": 10**400}, "body.events.1.timestamp_ms"),
        ({"value": float("nan")}, "body.events.1.value"),
        ({"value": float("inf")}, "body.events.1.value"),
        ({"value": 1e39}, "body.events.1.value"),
        ({"item_id": "\ud800"}, "body.events.1.item_id"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(unlocked: TestClient, change: dict[str, object], field: str) -> None:
    body = json.dumps({"events": [EVENT, {**EVENT, **change}]})
    reply = unlocked.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["field"]) == (422, field)
    assert set(reply.json()) == {"error", "field"}


def test_unknown_fields_of_the_body_itself_and_too_long_lists(unlocked: TestClient) -> None:
    reply = unlocked.post("/v1/events", json={**BODY, "__class__": "os.system"})
    assert (reply.status_code, reply.json()["field"]) == (422, "body.__class__")
    reply = unlocked.post("/v1/events", json={"events": [EVENT] * 1_001})
    assert (reply.status_code, reply.json()["field"]) == (422, "body.events")


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 422),
        (b"{", {}, 422),
        (b'{"events": [' + b"[" * 16 + b"]" * 16 + b"]}", {}, 422),
        (b"[" * 1_000_000, {}, 422),
        (b"\xff\xfe\x00", {}, 400),
        (b'{"events": ' + b"9" * 5_000 + b"}", {}, 400),
        (b"events=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (json.dumps(BODY).encode(), {"Content-Type": "text/plain"}, 415),
        (json.dumps(BODY).encode(), {"Content-Type": ""}, 415),
        (b"\x80\x04cos\nsystem\n.", {"Content-Type": "application/x-python-pickle"}, 415),
        (json.dumps(BODY).encode(), {"Content-Encoding": "gzip"}, 415),
        (b" " * 3_000_000, {}, 413),
    ],
)
def test_bodies_that_are_refused(unlocked: TestClient, content: bytes, headers: dict[str, str], status: int) -> None:
    reply = unlocked.post("/v1/events", content=content, headers={"Content-Type": "application/json", **headers})
    assert reply.status_code == status
    assert reply.json()["error"]


def test_errors_have_one_shape(unlocked: TestClient) -> None:
    assert (unlocked.get("/nothing").status_code, unlocked.get("/nothing").json()) == (404, {"error": "Not Found"})
    reply = unlocked.get("/v1/events")
    assert (reply.status_code, reply.json(), reply.headers["allow"]) == (405, {"error": "Method Not Allowed"}, "POST")
    full = unlocked.post("/v1/events", json={"events": [{**EVENT, "item_id": "full"}]})
    assert (full.status_code, full.json()) == (503, {"error": "the state store does not answer"})
    bug = unlocked.post("/v1/events", json={"events": [{**EVENT, "item_id": "bug"}]})
    assert (bug.status_code, bug.json()) == (500, {"error": "the gateway failed; its log says why"})


@pytest.mark.parametrize("item", ["..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "a%0d%0aSet-Cookie:%20x=1", "%00", "%ff", "a/../.."])
def test_ids_in_paths_reach_no_file_and_no_header(unlocked: TestClient, item: str) -> None:
    reply = unlocked.get(f"/v1/items/{item}/similar")
    assert reply.status_code in (200, 404)
    assert set(reply.headers) == {"content-length", "content-type"}
    assert "root:" not in reply.text


def test_a_path_with_one_slash_too_many_is_not_redirected(locked: TestClient) -> None:
    headers = {**bearer(Role.ADMIN), "Host": "evil.example.org"}
    reply = locked.get("/healthz/", headers=headers, follow_redirects=False)
    assert (reply.status_code, "location" in reply.headers) == (404, False)


def test_each_key_and_each_address_has_its_rate() -> None:
    http = TestClient(rooms(Limits(requests_per_s=0.001, burst=2)))
    codes = [http.get("/v1/items/i/similar", headers=bearer(Role.RECOMMEND)).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    limited = http.get("/v1/items/i/similar", headers=bearer(Role.RECOMMEND))
    assert limited.json() == {"error": "too many requests"}
    assert 900 < int(limited.headers["retry-after"]) <= 1_000
    assert [http.get("/metrics").status_code for _ in range(3)] == [401, 401, 429]  # guessing keys is limited too
    page = http.get("/metrics", headers=bearer(Role.ADMIN)).text  # the others' keys have their own
    assert 'winnow_rate_limited_total{role="recommend"} 2.0' in page
    assert 'winnow_rate_limited_total{role="address"} 1.0' in page


def test_keys_and_what_clients_send_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = {**EVENT, "context": {"email": "ann@example.org"}, "item_id": "bug"}
    with listening(rooms()) as port:
        for headers in ({}, {"X-API-Key": "a-wrong-key-0123456789"}, *map(bearer, Role)):
            httpx.post(f"http://127.0.0.1:{port}/v1/events", json={"events": [secret]}, headers=headers)
            httpx.post(f"http://127.0.0.1:{port}/v1/events", json={"events": [{**secret, "x": "hush"}]}, headers=headers)
        talk(port, b"GET /healthz HTTP/1.1\r\nX-API-Key: a-wrong-key-0123456789\r\nHost : localhost\r\n\r\n")
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=bearer(Role.ADMIN)).text
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    written = "\n".join(map(logging.Formatter().format, ours))
    assert "secret detail" in written  # the log does say why the gateway failed
    for hidden in (*KEYS.values(), "a-wrong-key", "ann@example.org", "hush"):
        assert hidden not in written
        assert hidden not in page


@contextmanager
def listening(app: ASGIApp, limits: Limits = DEFAULTS) -> Iterator[int]:
    """The application on a real port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        server = http_server(app, limits)
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        yield bound.getsockname()[1]
        server.should_exit = True
        thread.join()


def talk(port: int, *parts: bytes) -> bytes:
    """Send the parts and read until the server ends the connection; it may do so before it has heard them all."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        return b"".join(iter(lambda: received(connection), b""))


@pytest.fixture(scope="module")
def hurried() -> Iterator[int]:
    limits = Limits(body_bytes=10_000, body_s=0.2, head_s=0.4)
    with listening(rooms(limits, with_keys=False), limits) as port:
        yield port


PROBE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEAD = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def answered(reply: bytes) -> tuple[int, dict[str, str]]:
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


def test_a_body_in_chunks_is_counted_as_it_comes(hurried: int) -> None:
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    code, reply = answered(talk(hurried, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk * 3))
    assert (code, reply["error"]) == (413, "found a body of more than 10000 bytes; send less at once")


def test_a_body_that_says_it_is_too_long_is_not_read(hurried: int) -> None:
    code, _ = answered(talk(hurried, HEAD + b"Content-Length: 10001\r\nExpect: 100-continue\r\n\r\n"))
    assert code == 413


def test_a_client_that_sends_a_byte_of_its_body_and_waits_is_sent_away(hurried: int) -> None:
    code, reply = answered(talk(hurried, HEAD + b"Content-Length: 100\r\n\r\n", b"{"))
    assert (code, reply["error"]) == (408, "found 1 bytes and no end of them, wanted the body within 0.2 s")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"P"],
        [HEAD],
        [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /"],
        # Refused at once; the client goes on as if it did not know.
        [b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\n", b"a"],
    ],
)
def test_a_client_that_never_finishes_is_cut_off(hurried: int, parts: Sequence[bytes]) -> None:
    talk(hurried, *parts)  # ends: without a limit this would wait for its own, and fail


def test_a_connection_that_is_used_as_it_should_be_stays_open(hurried: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{hurried}") as http:
        ports = set()
        for _ in range(3):
            reply = http.post("/v1/events", json=BODY)
            assert reply.json() == {"folded": 1, "repeated": 0, "ignored": 0, "deferred": 0}
            ports.add(reply.extensions["network_stream"].get_extra_info("client_addr"))
        assert len(ports) == 1


@pytest.mark.parametrize("line", [b"X: a\r\n b", b"X: \x00", b"X : a", b"Content-Length: 1\r\nTransfer-Encoding: chunked"])
def test_heads_that_are_no_http_do_no_harm(hurried: int, line: bytes) -> None:
    reply = talk(hurried, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\nConnection: close\r\n\r\n")
    assert reply.split()[1] in (b"200", b"400", b"408")
    assert is_well(hurried)


@pytest.mark.parametrize(
    "target", [b"*", b"http://elsewhere/healthz", b"elsewhere:443", b"/\xff", b"//", b"/%00", b"/?" + b"a" * 9_999]
)
@pytest.mark.parametrize("method", [b"GET", b"OPTIONS", b"CONNECT", b"TRACE", b"HEAD"])
def test_targets_that_are_no_paths_do_no_harm(hurried: int, method: bytes, target: bytes) -> None:
    reply = talk(hurried, method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert reply.split()[1] in (b"200", b"400", b"404", b"405")
    assert is_well(hurried)


@pytest.mark.parametrize(
    "start",
    [
        b"GET /healthz HTTP/1.1\r\nX: ",
        b"GET /",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=",  # an extension of a chunk
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",  # a trailer
    ],
)
def test_what_is_no_body_is_bounded_too(start: bytes) -> None:
    limits = Limits(body_bytes=10_000, body_s=60, head_s=60)
    with listening(rooms(limits, with_keys=False), limits) as port:
        assert b"200" not in talk(port, start, *[b"x" * 65_536] * 100)
        assert is_well(port)


def test_a_client_that_does_not_read_is_cut_off() -> None:
    ended, chunk_count, chunk = threading.Event(), 64, b"x" * 1_000_000

    async def generous(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(chunk_count):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        ended.set()  # with the connection: nobody can have taken all of it

    with listening(generous, Limits(body_s=0.2)) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended.wait(20)
        heard = sum(map(len, iter(lambda: received(connection), b"")))
        assert heard < chunk_count * len(chunk)


def test_one_connection_too_many_is_told_so_and_those_that_are_open_are_served() -> None:
    limits = Limits(connections=2)
    with listening(rooms(limits, with_keys=False), limits) as port:
        with ExitStack() as opened:
            first, second = (opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(2))
            for _ in range(20):  # with and without a request, which the server does not read
                for parts in ([], [PROBE]):
                    code, reply = answered(talk(port, *parts))
                    assert (code, reply) == (503, {"error": "too many connections are open"})
            refused = httpx.post(f"http://127.0.0.1:{port}/v1/events", json=BODY)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            for each in (first, second):
                each.sendall(PROBE)
                assert received(each).split()[1] == b"200"
        deadline_s = time.monotonic() + 20
        while not is_well(port):  # the server has to hear of their ends
            assert time.monotonic() < deadline_s


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionError:
        return b""


def is_well(port: int) -> bool:
    return talk(port, PROBE).split()[1] == b"200"
