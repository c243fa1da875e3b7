"""The page for Prometheus of a real server process."""

import json
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest

from components.errors import ServingError
from serving.inference import InferenceError, ModelClient
from serving.model_server.model_config import ModelConfig, config_text
from serving.model_server.monitoring_config import read_prometheus_path
from serving.model_server.process import EmbeddedServer

Publish = Callable[[Path, Path, int], Path]


def test_requests_show_on_the_page(saved_models: Path, tmp_path: Path, publish: Publish) -> None:
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    publish(saved_models / "affine_1", tmp_path / "affine", 1)
    folder = publish(saved_models / "judge", tmp_path / "judge", 1)
    config_file = tmp_path / "monitoring.config"
    config_file.write_text('prometheus_config { enable: true path: "/metrics" }')
    models = [ModelConfig(name, tmp_path / name) for name in ("affine", "judge")]
    with (
        EmbeddedServer(models, flags=[f"--monitoring_config_file={config_file}"]) as server,
        ModelClient(server.grpc_target) as client,
    ):

        def lines() -> list[str]:
            reply = httpx.get(server.rest_url + "/metrics")
            assert (reply.status_code, reply.headers["content-type"]) == (200, "text/plain")
            return reply.text.splitlines()

        before = lines()
        assert "# TYPE :tensorflow:serving:request_count counter" in before
        assert not [line for line in before if line.startswith(":tensorflow:serving:request")]
        count = ":tensorflow:cc:saved_model:load_attempt_count"
        assert f'{count}{{model_path="{folder}",status="success"}} 1' in before

        client.predict("affine", {"x": np.array([1.0], np.float32)})
        with pytest.raises(InferenceError):
            client.predict("absent", {"x": np.array([1.0], np.float32)})
        base = server.rest_url + "/v1/models"
        httpx.post(base + "/affine:predict", content='{"instances": [1]}')
        httpx.post(base + "/affine:predict", content="{}")
        body = json.dumps({"signature_name": "regress", "examples": [{}, {}, {}]})
        httpx.post(base + "/judge:regress", content=body)
        httpx.get(base + "/affine")

        after = lines()
        for line in (
            ':tensorflow:serving:request_count{model_name="affine",status="OK"} 3',
            ':tensorflow:serving:request_count{model_name="affine",status="INVALID_ARGUMENT"} 1',
            ':tensorflow:serving:request_count{model_name="absent",status="NOT_FOUND"} 1',
            ':tensorflow:serving:request_count{model_name="judge",status="OK"} 1',
            ':tensorflow:serving:request_latency_count{model_name="affine",API="Predict",entrypoint="GRPC"} 1',
            ':tensorflow:serving:request_latency_count{model_name="affine",API="predict",entrypoint="REST"} 1',
            ':tensorflow:serving:request_latency_bucket{model_name="judge",API="regress",entrypoint="REST",le="+Inf"} 1',
            ':tensorflow:serving:request_latency_count{model_name="affine",API="",entrypoint="REST"} 1',
            ':tensorflow:serving:runtime_latency_count{model_name="affine",API="Predict",runtime="TF1"} 2',
            ':tensorflow:serving:runtime_latency_count{model_name="judge",API="Regress",runtime="TF1"} 1',
            ':tensorflow:serving:request_example_counts_sum{model="judge"} 3',
            ':tensorflow:serving:request_example_count_total{model="judge"} 3',
        ):
            assert line in after, line

        # A reload tells by how much the counters that it names have grown meanwhile.
        publish(saved_models / "affine_2", tmp_path / "new", 1)
        request = model_management_pb2.ReloadConfigRequest(
            metric_names=["/tensorflow/serving/request_example_count_total", "/absent"]
        )
        text_format.Parse(config_text([ModelConfig("new", tmp_path / "new")]), request.config)
        with grpc.insecure_channel(server.grpc_target) as channel:
            response = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
        assert [(metric.name, metric.int64_value_increase) for metric in response.metric] == [
            ("/tensorflow/serving/request_example_count_total", 0),
            ("/absent", 0),
        ]


def test_without_a_config_there_is_no_page(server: EmbeddedServer) -> None:
    assert httpx.get(server.rest_url + "/monitoring/prometheus/metrics").status_code == 404


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", None),
        ("prometheus_config {}", None),
        ('prometheus_config { path: "/metrics" }', None),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { enable: true, path: "/metrics" }', "/metrics"),
    ],
)
def test_config_files(tmp_path: Path, text: str, path: str | None) -> None:
    config_file = tmp_path / "monitoring.config"
    config_file.write_text(text)
    assert read_prometheus_path(config_file) == path


def test_wrong_config_files(tmp_path: Path) -> None:
    config_file = tmp_path / "monitoring.config"
    config_file.write_text("prometheus { enable: true }")
    with pytest.raises(ServingError, match=r"is not a MonitoringConfig in text form: 1:1 : .*wanted: prometheus_config"):
        read_prometheus_path(config_file)
    with pytest.raises(ServingError, match="cannot be read"):
        read_prometheus_path(tmp_path / "absent")
