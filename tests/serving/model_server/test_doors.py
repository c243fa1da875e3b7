"""The further ways in: CORS, a Unix socket, the health service, replies as raw bytes, and what a slow request gets."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from serving.inference import ModelClient
from serving.model_server.health_service import NOT_SERVING, SERVICE_UNKNOWN, SERVING
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer

Publish = Callable[[Path, Path, int], Path]
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": "Content-Type",
}
PREDICT = "/v1/models/affine:predict"


@pytest.fixture(scope="module")
def open_server(
    saved_models: Path, tmp_path_factory: pytest.TempPathFactory, publish: Publish
) -> Iterator[tuple[EmbeddedServer, Path]]:
    """A server with every door open, and the folder of its Unix socket, ``grpc.sock``."""
    root = tmp_path_factory.mktemp("doors")
    publish(saved_models / "affine_1", root / "affine", 1)
    publish(saved_models / "gated", root / "gated", 1)
    flags = [
        *("--rest_api_enable_cors_support", "--enable_grpc_healthcheck_service", "--enable_serialization_as_tensor_content"),
        *(f"--grpc_socket_path={root / 'grpc.sock'}", "--rest_api_timeout_in_ms=3000"),
        *("--grpc_channel_arguments=grpc.max_connection_age_ms=3600000,some.text=value", "--grpc_max_threads=3"),
    ]
    with EmbeddedServer([ModelConfig(name, root / name) for name in ("affine", "gated")], flags=flags) as running:
        yield running, root


def cors(reply: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


def test_pages_of_other_origins_may_read_replies(open_server: tuple[EmbeddedServer, Path]) -> None:
    url = open_server[0].rest_url
    reply = httpx.post(url + PREDICT, content='{"instances": [1]}')
    assert (reply.json(), cors(reply)) == ({"predictions": [2.0]}, CORS)
    assert cors(httpx.post(url + PREDICT, content="{}")) == CORS
    assert cors(httpx.get(url + "/v1/models/affine")) == CORS


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://example.org"])
def test_a_preflight(open_server: tuple[EmbeddedServer, Path], origin: str) -> None:
    reply = httpx.options(open_server[0].rest_url + PREDICT, headers={"origin": origin})
    assert (reply.status_code, reply.content, cors(reply)) == (200, b"", CORS)


@pytest.mark.parametrize("headers", [{}, {"origin": "null"}])
def test_a_preflight_of_nowhere(open_server: tuple[EmbeddedServer, Path], headers: dict[str, str]) -> None:
    reply = httpx.options(open_server[0].rest_url + PREDICT, headers=headers)
    assert (reply.status_code, reply.json()) == (400, {"error": "Origin header is missing in CORS preflight"})


def test_without_the_flag_there_are_no_cors_headers(server: EmbeddedServer) -> None:
    assert cors(httpx.get(server.rest_url + "/v1/models/affine")) == {}


def test_a_unix_socket(open_server: tuple[EmbeddedServer, Path]) -> None:
    with ModelClient(f"unix:{open_server[1] / 'grpc.sock'}") as client:
        assert client.predict("affine", {"x": np.array([1.0], np.float32)})["y"] == [2.0]


def test_replies_as_raw_bytes(open_server: tuple[EmbeddedServer, Path]) -> None:
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "affine"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add().size = 2
    request.inputs["x"].float_val.extend([1.0, 2.0])
    with grpc.insecure_channel(open_server[0].grpc_target) as channel:
        y = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request).outputs["y"]
    assert list(y.float_val) == []
    assert y.tensor_content == np.array([2.0, 3.0], "<f4").tobytes()


def health(channel: grpc.Channel, service: bytes = b"") -> int:
    """The status of a service. A request is its name in field 1; a reply, the status as a number in field 1."""
    request = b"\n" + bytes([len(service)]) + service if service else b""
    reply: bytes = channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=60)
    assert reply[:1] == b"\x08"
    return reply[1]


def test_health(open_server: tuple[EmbeddedServer, Path]) -> None:
    with grpc.insecure_channel(open_server[0].grpc_target) as channel:
        assert health(channel) == SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            health(channel, b"tensorflow.serving.PredictionService")
        assert (unknown.value.code(), unknown.value.details()) == (grpc.StatusCode.NOT_FOUND, "service name unknown")
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\n\x01x", timeout=60)
        assert next(watch) == bytes([8, SERVICE_UNKNOWN])
        watch.cancel()


def test_without_the_flag_there_is_no_health_service(server: EmbeddedServer) -> None:
    with grpc.insecure_channel(server.grpc_target) as channel, pytest.raises(grpc.RpcError) as refused:
        health(channel)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_watchers_hear_of_the_end_and_take_no_threads(saved_models: Path, tmp_path: Path, publish: Publish) -> None:
    publish(saved_models / "affine_1", tmp_path / "affine", 1)
    flags = ["--enable_grpc_healthcheck_service", "--grpc_max_threads=1"]
    server = EmbeddedServer([ModelConfig("affine", tmp_path / "affine")], flags=flags)
    with server, grpc.insecure_channel(server.grpc_target) as channel, ThreadPoolExecutor(1) as pool:
        watches = [channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60) for _ in range(3)]
        assert [next(watch) for watch in watches] == [bytes([8, SERVING])] * 3
        assert health(channel) == SERVING
        ended = pool.submit(server.stop)
        assert [next(watch) for watch in watches] == [bytes([8, NOT_SERVING])] * 3
        for watch in watches:
            watch.cancel()
        assert ended.result() == 0


def test_a_slow_rest_request_is_given_up(open_server: tuple[EmbeddedServer, Path], tmp_path: Path) -> None:
    server, _ = open_server
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    body = json.dumps({"inputs": {"x": [1.0], "gate": [str(gate)]}})
    reply = httpx.post(server.rest_url + "/v1/models/gated:predict", content=body, timeout=60)
    assert (reply.status_code, reply.json()) == (504, {"error": "Timed out waiting for notification"})
    assert gate.read_bytes() == b"through"  # the run goes on to its end


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--grpc_channel_arguments=x", "x is no list of settings; wanted name=value,name=value"),
        ("--grpc_max_threads=0", "0 is not a number of threads; wanted 1 or more"),
        ("--enable_batching=perhaps", "perhaps is neither true nor false"),
    ],
)
def test_wrong_flags(flag: str, message: str, capsys: Any) -> None:
    from serving.model_server.flags import parser

    with pytest.raises(SystemExit):
        parser().parse_args([flag])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "is_on"), [("--enable_batching", True), ("--enable_batching=true", True), ("--enable_batching=0", False)]
)
def test_switches(text: str, is_on: bool) -> None:
    from serving.model_server.flags import parser

    assert parser().parse_args([text]).enable_batching is is_on


def test_the_help_says_what_the_stock_server_has_and_this_one_has_not() -> None:
    from serving.model_server.flags import parser

    text = " ".join(parser().format_help().split())
    assert "What the stock server has and this one has not: models in TensorFlow Lite's form" in text
    for lacking in ("encrypted ports", "request logging", "--platform_config_file", "not on this machine's own file system"):
        assert lacking in text
    assert "What is otherwise on purpose: it listens to this machine alone unless told otherwise" in text
