"""Configurations that change while a real server answers: by gRPC, and by the file that it reads again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from serving.inference import InferenceError, ModelClient
from serving.model_server.model_config import AllVersions, ModelConfig, config_text
from serving.model_server.process import EmbeddedServer

Publish = Callable[[Path, Path, int], Path]
Reload = Callable[[str], Any]
ONE = {"x": np.array([1.0], np.float32)}


@pytest.fixture
def models(saved_models: Path, tmp_path: Path, publish: Publish) -> Path:
    """A folder with two models: first has the versions 1 and 2 of affine, second has 3."""
    publish(saved_models / "affine_1", tmp_path / "first", 1)
    publish(saved_models / "affine_2", tmp_path / "first", 2)
    publish(saved_models / "affine_3", tmp_path / "second", 3)
    return tmp_path


@pytest.fixture
def server(models: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer([ModelConfig("first", models / "first")]) as running:
        yield running


@pytest.fixture
def reload(server: EmbeddedServer) -> Iterator[Reload]:
    """Asks the server to serve the models of a configuration in text form."""
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)

        def ask(text: str) -> Any:
            request = model_management_pb2.ReloadConfigRequest()
            text_format.Parse(text, request.config)
            return stub.HandleReloadConfigRequest(request, timeout=60)

        yield ask


def refusal(call: Reload, text: str) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(text)
    return caught.value.code().name, caught.value.details()


def test_the_models_are_replaced(models: Path, server: EmbeddedServer, reload: Reload) -> None:
    response = reload(config_text([ModelConfig("second", models / "second")]))
    assert response.HasField("status")
    assert (response.status.error_code, response.status.error_message) == (0, "")
    with ModelClient(server.grpc_target) as client:
        assert client.predict("second", ONE)["y"] == [4.0]
        with pytest.raises(InferenceError, match=r"Servable not found for request: Latest\(first\)"):
            client.predict("first", ONE)
        assert [status.state for status in client.status("first")] == ["END"]


def test_policies_and_labels_change(models: Path, server: EmbeddedServer, reload: Reload) -> None:
    both = ModelConfig("first", models / "first", AllVersions(), {"canary": 1})
    reload(config_text([both]))
    reply = httpx.post(server.rest_url + "/v1/models/first/labels/canary:predict", content='{"instances": [1]}', timeout=60)
    assert reply.json() == {"predictions": [2.0]}
    # A label in use moves at once to a version that is available, and to no other.
    reload(config_text([ModelConfig("first", models / "first", AllVersions(), {"canary": 2})]))
    reply = httpx.post(server.rest_url + "/v1/models/first/labels/canary:predict", content='{"instances": [1]}')
    assert reply.json() == {"predictions": [3.0]}
    moved = ModelConfig("first", models / "first", AllVersions(), {"canary": 9})
    assert refusal(reload, config_text([moved])) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 9 of model first, which is not currently available for inference",
    )


def test_no_models_at_all(server: EmbeddedServer, reload: Reload) -> None:
    reload("model_config_list {}")
    reply = httpx.post(server.rest_url + "/v1/models/first:predict", content='{"instances": [1]}')
    assert (reply.status_code, reply.json()) == (404, {"error": "Servable not found for request: Latest(first)"})


@pytest.mark.parametrize(
    ("text", "code", "details"),
    [
        (
            "",
            "INVALID_ARGUMENT",
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported",
        ),
        (
            "model_config_list {" + 'config { name: "m" base_path: "/m" model_platform: "tensorflow" }' * 2 + "}",
            "INVALID_ARGUMENT",
            "Illegal to list model m multiple times in config list",
        ),
        (
            'model_config_list { config { name: "m" base_path: "m" model_platform: "tensorflow" } }',
            "INVALID_ARGUMENT",
            "Expected model m to have an absolute path or URI; got base_path()=m",
        ),
    ],
)
def test_refused_configurations(server: EmbeddedServer, reload: Reload, text: str, code: str, details: str) -> None:
    assert refusal(reload, text) == (code, details)
    with ModelClient(server.grpc_target) as client:
        assert client.predict("first", ONE)["y"] == [3.0]


def test_a_new_model_that_cannot_be_loaded(models: Path, reload: Reload) -> None:
    broken = models / "broken" / "5"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"not a model")
    assert refusal(reload, config_text([ModelConfig("broken", models / "broken")])) == (
        "UNKNOWN",
        "Some models did not become available: {{name: broken version: 5}, }",
    )


def test_the_config_file_is_read_again(models: Path, eventually: Any, tmp_path: Path) -> None:
    config_file = tmp_path / "models.config"

    def write(text: str) -> None:
        incoming = tmp_path / "incoming.config"
        incoming.write_text(text, encoding="utf-8")
        incoming.rename(config_file)

    write(config_text([ModelConfig("first", models / "first")]))
    flags = [f"--model_config_file={config_file}", "--model_config_file_poll_wait_seconds=0.05"]
    log_path = tmp_path / "server.log"
    with EmbeddedServer([], flags=flags, log_path=log_path) as server, ModelClient(server.grpc_target) as client:
        assert client.predict("first", ONE)["y"] == [3.0]
        write("model_config_list { config { nme: 'm' } }")
        eventually(lambda: "the models are not reconfigured" in log_path.read_text(), "word of the wrong file")
        assert client.predict("first", ONE)["y"] == [3.0]
        write(config_text([ModelConfig("second", models / "second")]))
        client.wait_until_available("second")
        assert client.predict("second", ONE)["y"] == [4.0]
        eventually(lambda: client.status("first")[0].state == "END", "end of the model that is no longer listed")
